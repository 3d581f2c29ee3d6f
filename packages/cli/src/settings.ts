import { join, resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "@commander-js/extra-typings";
import type { MeshOptions, RuntimeOptions } from "@mecha/runtime";
import { CliError, exitCodes } from "./errors.js";

/** Everything that a runtime is started with, resolved: option > environment > default. Plain data, so that it can cross to a child process. */
export interface RuntimeSettings {
  appId: string;
  /** The `kind: App` resource that says how the app is probed. */
  appName: string;
  namespace: string;
  /** Where it listens. */
  listen: { host: string; port: number } | { path: string };
  dataDir: string;
  /** The files and folders with resources; undefined: `mecha.yaml` and `mecha/`, as far as they are there. */
  resources: string[] | undefined;
  logLevel: LogLevel;
  /** The origins whose web pages may call. */
  allowedOrigins: string[];
  /** The port that the app listens on; undefined if it needs none. */
  appPort: number | undefined;
  /** How other apps call the app, and it them. */
  mesh: MeshOptions;
  /** The file with the token to enrol with at `mesh.authority`; undefined: MECHA_ENROLL_TOKEN, if that is set. */
  enrollTokenFile?: string | undefined;
  /** Where outsiders call; undefined: nowhere. */
  edge?: RuntimeOptions["edge"];
  /** Whether each call between apps is logged. */
  accessLog: boolean;
}

/** How much is logged. */
export type LogLevel = (typeof logLevels)[number];
export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

/** How calls are spread over the instances of an app. */
const balancings = ["least-request", "round-robin", "random"] as const satisfies readonly MeshOptions["balancing"][];

/** Where a runtime listens unless told otherwise. */
export const defaultPort = 3600;
export const defaultHost = "127.0.0.1";
/** Where runtimes call one another unless told otherwise. */
const defaultMeshPort = 3601;

/** As `dnsLabelPattern` of @mecha/component, which would bring zod with it: `--help` needs none. */
const dnsLabel = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** Accepts a DNS label, which is what an app id and a namespace are. */
export function parseDnsLabel(value: string): string {
  if (dnsLabel.test(value)) return value;
  throw new InvalidArgumentError('use 1 to 63 of a-z, 0-9 and "-", beginning and ending with a letter or digit.');
}

/** Accepts a TCP port; 0 means any free one. */
export function parsePort(value: string): number {
  const port = Number(value);
  if (/^\d+$/.test(value) && port <= 65535) return port;
  throw new InvalidArgumentError("a port is a number from 0 to 65535; 0 takes any free one.");
}

/** Accepts an origin and adds it to those before: scheme, name and port, as a browser sends it. */
export function parseOrigin(value: string, before: string[] = []): string[] {
  if (URL.parse(value)?.origin === value) return [...before, value];
  throw new InvalidArgumentError("an origin is what a browser sends: https://shop.example, http://localhost:5173.");
}

/** A command that starts a runtime: its options are those of `mecha run` and `mecha serve`. */
export function createRuntimeCommand(name: string) {
  return new Command(name)
    .addOption(
      new Option("--app-id <id>", "the app that the runtime serves, a DNS label")
        .env("MECHA_APP_ID")
        .argParser(parseDnsLabel),
    )
    .addOption(createNamespaceOption())
    .addOption(
      new Option("-p, --port <number>", `the TCP port to listen on (default: ${defaultPort})`)
        .env("MECHA_PORT")
        .argParser(parsePort),
    )
    .addOption(
      new Option(
        "--app-port <number>",
        "the TCP port that the app listens on, if it does: /readyz waits for it, and subscriptions post there",
      )
        .env("MECHA_APP_PORT")
        .argParser(parsePort),
    )
    .addOption(
      new Option("--mesh-port <number>", "where the runtimes of other apps call; if somebody has it, any free one")
        .env("MECHA_MESH_PORT")
        .argParser(parsePort)
        .default(defaultMeshPort),
    )
    .addOption(
      new Option("--mesh-host <address>", "the address of the mesh port; 0.0.0.0 for apps on several hosts")
        .env("MECHA_MESH_HOST")
        .default(defaultHost),
    )
    .addOption(
      new Option(
        "--mesh-advertise <address>",
        "where others reach the mesh port: host or host:port (default: its address, or this machine's first)",
      ).env("MECHA_MESH_ADVERTISE"),
    )
    .addOption(
      new Option(
        "--certificates <folder>",
        "tls.crt, tls.key and ca.crt that prove who this runtime is (default: made by an authority in the data directory)",
      ).env("MECHA_CERTIFICATES"),
    )
    .addOption(
      new Option(
        "--ca <host:port>",
        "an authority of several hosts that proves who this runtime is (mecha ca serve); MECHA_CA says it too",
      ).conflicts("certificates"),
    )
    .addOption(
      new Option(
        "--enroll-token-file <path>",
        "the token to enrol with there, which is needed once (default: the one in MECHA_ENROLL_TOKEN)",
      ),
    )
    .addOption(
      new Option("--balancing <way>", "how calls are spread over the instances of another app, where no policy says so")
        .env("MECHA_BALANCING")
        .choices(balancings),
    )
    .addOption(
      new Option("--edge-port <number>", "where outsiders reach the apps that a Policy exposes, as calls of this app")
        .env("MECHA_EDGE_PORT")
        .argParser(parsePort),
    )
    .addOption(
      new Option("--edge-host <address>", "the address of the edge port; 0.0.0.0 for other machines")
        .env("MECHA_EDGE_HOST")
        .default(defaultHost),
    )
    .addOption(
      new Option(
        "--edge-certificates <folder>",
        "tls.crt and tls.key, read again when they change: the edge port is HTTPS",
      ).env("MECHA_EDGE_CERTIFICATES"),
    )
    .addOption(
      new Option("--app-version <text>", "the app's version, told to those who find it").env("MECHA_APP_VERSION"),
    )
    .addOption(new Option("--zone <name>", "the failure domain, told to those who find the app").env("MECHA_ZONE"))
    .addOption(new Option("--socket <path>", "listen on a Unix socket instead").conflicts(["port", "host"]))
    .addOption(createDataDirOption())
    .addOption(
      new Option(
        "-r, --resources <paths...>",
        "resource files, or folders with them (default: mecha.yaml and mecha/, as far as they are there)",
      ).env("MECHA_RESOURCES"),
    )
    .addOption(
      new Option(
        "--allow-origin <origin>",
        "lets the web pages of this origin call (https://shop.example), the others stay refused; may be repeated",
      ).argParser(parseOrigin),
    )
    .addOption(createLogLevelOption("info"))
    .addOption(createAccessLogOption());
}

/** `--namespace`, as every command that starts runtimes has it. */
export function createNamespaceOption() {
  return new Option("--namespace <name>", "everything is stored under it, a DNS label")
    .env("MECHA_NAMESPACE")
    .default("default")
    .argParser(parseDnsLabel);
}

/** `--data-dir`, likewise. */
export function createDataDirOption() {
  return new Option("--data-dir <path>", "where the embedded component keeps its files")
    .env("MECHA_DATA_DIR")
    .default(".mecha");
}

/** `--access-log`, likewise. */
export function createAccessLogOption() {
  return new Option("--access-log", "log each call between apps, at level info").implies({ logLevel: "info" });
}

/** `--log-level`, likewise. */
export function createLogLevelOption(level: LogLevel) {
  return new Option("--log-level <level>", "how much the runtime logs")
    .env("MECHA_LOG_LEVEL")
    .choices(logLevels)
    .default(level);
}

/** What {@link createRuntimeCommand}'s options give. */
export interface RuntimeFlags {
  appId?: string | undefined;
  namespace: string;
  host?: string | undefined;
  port?: number | undefined;
  socket?: string | undefined;
  dataDir: string;
  resources?: string[] | undefined;
  logLevel: LogLevel;
  allowOrigin?: string[] | undefined;
  appPort?: number | undefined;
  meshPort: number;
  meshHost: string;
  meshAdvertise?: string | undefined;
  certificates?: string | undefined;
  ca?: string | undefined;
  enrollTokenFile?: string | undefined;
  balancing?: MeshOptions["balancing"] | undefined;
  edgePort?: number | undefined;
  edgeHost: string;
  edgeCertificates?: string | undefined;
  appVersion?: string | undefined;
  zone?: string | undefined;
  accessLog?: boolean | undefined;
}

/** Resolves a command's options; an error says what is missing. */
export function resolveRuntimeSettings(flags: RuntimeFlags): RuntimeSettings {
  if (flags.appId === undefined) {
    throw new CliError(
      "which app is this runtime for? Say --app-id <id> (for example --app-id shop), or set MECHA_APP_ID",
      exitCodes.usage,
    );
  }
  return {
    appId: flags.appId,
    appName: flags.appId,
    namespace: flags.namespace,
    listen:
      flags.socket === undefined
        ? { host: flags.host ?? defaultHost, port: flags.port ?? defaultPort }
        : { path: resolve(flags.socket) },
    dataDir: resolve(flags.dataDir),
    resources: flags.resources,
    logLevel: flags.logLevel,
    allowedOrigins: flags.allowOrigin ?? [],
    appPort: flags.appPort,
    mesh: {
      port: flags.meshPort,
      host: flags.meshHost,
      ...(flags.meshAdvertise !== undefined && { advertise: flags.meshAdvertise }),
      ...(flags.certificates !== undefined && { certificates: certificatesIn(resolve(flags.certificates)) }),
      ...(flags.ca !== undefined && { authority: { address: flags.ca } }),
      ...(flags.balancing !== undefined && { balancing: flags.balancing }),
      ...(flags.appVersion !== undefined && { version: flags.appVersion }),
      ...(flags.zone !== undefined && { zone: flags.zone }),
    },
    enrollTokenFile: flags.enrollTokenFile === undefined ? undefined : resolve(flags.enrollTokenFile),
    edge: resolveEdge(flags),
    accessLog: flags.accessLog === true,
  };
}

function resolveEdge({ edgePort, edgeHost, edgeCertificates }: RuntimeFlags): RuntimeOptions["edge"] {
  if (edgePort === undefined) return undefined;
  const { certificate, key } = certificatesIn(resolve(edgeCertificates ?? "."));
  return { host: edgeHost, port: edgePort, ...(edgeCertificates !== undefined && { tls: { certificate, key } }) };
}

/** The names that Kubernetes gives to the parts of a TLS secret, and cert-manager with it. */
function certificatesIn(folder: string): NonNullable<MeshOptions["certificates"]> {
  return { certificate: join(folder, "tls.crt"), key: join(folder, "tls.key"), authorities: join(folder, "ca.crt") };
}
