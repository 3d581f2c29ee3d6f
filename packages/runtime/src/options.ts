import { resolve } from "node:path";
import { type Clock, type ComponentDefinition, dnsLabelInWords, dnsLabelPattern, systemClock } from "@mecha/component";
import type { ListenOptions } from "@mecha/rpc";
import type { Tracer } from "@opentelemetry/api";
import type { ResourceObject } from "./config/documents.js";
import { type MeshOptions, type ResolvedMeshOptions, resolveMeshOptions } from "./mesh/options.js";
import { createPinoLogger, type RuntimeLogger, silentLogger } from "./telemetry/logger.js";

/** Options of `createRuntime`; each has a default, so that `createRuntime()` works. */
export interface RuntimeOptions {
  /** The app that this runtime serves, a DNS label. Default: `MECHA_APP_ID`, else "app". Everything stored is under it. */
  appId?: string;
  /** Under which everything is stored, a DNS label. Default: `MECHA_NAMESPACE`, else "default". */
  namespace?: string;
  /** Where embedded components and the admin socket keep files; made (mode 0700) when something needs it. Default: `MECHA_DATA_DIR`, else ".mecha". */
  dataDir?: string;
  /**
   * What to run on: paths of YAML files or of folders of them, or resources as objects. Default: `MECHA_RESOURCES` (a path), else `mecha.yaml`
   * and `mecha/` in the working directory, as far as they are there. With none, every block works on the embedded `sqlite`.
   */
  resources?: readonly (string | ResourceObject)[];
  /** Takes changes of resource files while running. Default: true when `listen` is set, else false. */
  watchResources?: boolean;
  /** Types of components at hand; looked at first. What a bundler must see goes here. */
  components?: readonly ComponentDefinition[];
  /** Where else a type may come from, after `components` and the packages installed beside the resource file. Default: none. */
  resolveComponent?: (type: string) => Promise<ComponentDefinition | undefined>;
  /** The types `resolveComponent` knows, for error messages. Default: none. */
  knownComponentTypes?: readonly string[];
  /** Where to listen for apps; false: nowhere, calls go through `runtime.transport` only. Default: false. */
  listen?: ListenOptions | false;
  /**
   * Where to listen for outsiders: their calls reach the apps that a Policy exposes (`edge: { expose: true }`), as calls of this app, and nothing else;
   * no token is asked for, and any `Host` and `Origin` may call, so policies say who may. Needs `mesh`. Default: nowhere.
   */
  edge?: EdgeOptions;
  /** What a caller over the network must send as `authorization: Bearer …`. Default when listening: `MECHA_API_TOKEN`, else none is asked for. */
  token?: string;
  /** Names that callers may use in `Host`, beside loopback names and the address listened on. Default: none. */
  allowedHosts?: readonly string[];
  /** Origins (`https://shop.example`) whose web pages may call; pages of any other are refused. Default: none. */
  allowedOrigins?: readonly string[];
  /**
   * The TCP port that the app listens on, on this machine, 1 to 65535: `/readyz` is 200 only while it does, and subscriptions post there. Default:
   * the app needs none.
   */
  appPort?: number;
  /**
   * What the runtime sends with every request to the app, as `authorization: Bearer …`, so that the app can tell it from others: printable ASCII
   * without spaces. Default: `MECHA_APP_TOKEN`, else none.
   */
  appToken?: string;
  /** The name of the `kind: App` resource that says how this app is probed. Default: `appId`. */
  appName?: string;
  /** Told when the app should be restarted, with why: its startup or liveness probe failed. Default: it is logged. */
  onAppFailed?: (reason: string) => void;
  /** How the app is called by other apps and calls them; false: not at all. Default: as its options' defaults say when `listen` is set, else false. */
  mesh?: MeshOptions | false;
  /** Whether to listen on the admin socket (mode 0600, in `dataDir`). Default: true when `listen` is set, else false. */
  adminSocket?: boolean;
  /** Time, for tests. Default: the machine's. */
  clock?: Clock;
  /** Where to log, pino or alike. Default: pino on standard output if `logLevel` is set, else silent. */
  logger?: RuntimeLogger;
  /** The level of the logger that is made when none is given. Default: none is made. */
  logLevel?: string;
  /** Whether each call between apps is a line in the log, at level info, with method, path (without its query), status and duration. Default false. */
  accessLog?: boolean;
  /**
   * What calls and components' work are traced with, as OpenTelemetry spans in the caller's trace: `provider.getTracer("mecha")`. Default: nothing
   * is traced, and nothing of OpenTelemetry is loaded.
   */
  tracer?: Tracer;
  /**
   * Whether `tracer` is asked about what belongs to a trace that nobody records, as its caller says (the flag "sampled" of `traceparent`). A parent-based
   * sampler records none of it, and to ask costs a call some 10 µs. Default true.
   */
  traceUnsampled?: boolean;
  /** The environment that `$env`, Kubernetes detection and the defaults above are read from. Default: `process.env`. */
  environment?: Readonly<Record<string, string | undefined>>;
  /** How long a component may take to start, in ms. Default 30 000. */
  startTimeoutMs?: number;
  /** How long calls in flight may take to finish when a component is replaced or the runtime stops, in ms. Default 30 000. */
  drainTimeoutMs?: number;
  /** How often a healthy component is asked how it is, in ms. Default 5 000. */
  healthIntervalMs?: number;
}

/** Where outsiders call. */
export interface EdgeOptions {
  /** The address. Default 127.0.0.1. */
  host?: string;
  /** The TCP port, 0 to 65535; 0 takes any free one. */
  port: number;
  /**
   * PEM files for HTTPS, read again within 10 s when they change; the key is to be readable by its owner alone. Default: plain HTTP, for behind
   * something that ends TLS.
   */
  tls?: { certificate: string; key: string };
}

/** Every option with its value. */
export interface ResolvedRuntimeOptions {
  readonly appId: string;
  readonly namespace: string;
  readonly dataDir: string;
  /** Undefined: look in the working directory. */
  readonly resources: readonly (string | ResourceObject)[] | undefined;
  readonly watchResources: boolean;
  readonly components: readonly ComponentDefinition[];
  readonly resolveComponent: (type: string) => Promise<ComponentDefinition | undefined>;
  readonly knownComponentTypes: readonly string[];
  readonly listen: ListenOptions | false;
  readonly edge: EdgeOptions | undefined;
  readonly token: string | undefined;
  readonly allowedHosts: readonly string[];
  readonly allowedOrigins: readonly string[];
  readonly appPort: number | undefined;
  readonly appToken: string | undefined;
  readonly appName: string;
  readonly onAppFailed: ((reason: string) => void) | undefined;
  readonly mesh: ResolvedMeshOptions | undefined;
  readonly adminSocket: boolean;
  readonly clock: Clock;
  readonly logger: RuntimeLogger;
  readonly accessLog: boolean;
  readonly tracer: Tracer | undefined;
  readonly traceUnsampled: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly startTimeoutMs: number;
  readonly drainTimeoutMs: number;
  readonly healthIntervalMs: number;
}

/** Option, else environment, else default. */
export async function resolveRuntimeOptions(options: RuntimeOptions): Promise<ResolvedRuntimeOptions> {
  const environment = options.environment ?? process.env;
  const listen = options.listen ?? false;
  const token = options.token ?? (listen === false ? undefined : environment.MECHA_API_TOKEN || undefined);
  if (token === "") throw new TypeError("option `token` is empty; leave it out to ask for none");
  const appToken = options.appToken ?? (environment.MECHA_APP_TOKEN || undefined);
  if (appToken !== undefined && !/^[\x21-\x7e]+$/.test(appToken)) {
    throw new TypeError("option `appToken` must be printable ASCII without spaces; leave it out to send none");
  }
  const appId = requireDnsLabel("appId", options.appId ?? (environment.MECHA_APP_ID || "app"));
  return {
    appId,
    namespace: requireDnsLabel("namespace", options.namespace ?? (environment.MECHA_NAMESPACE || "default")),
    dataDir: resolve(options.dataDir ?? (environment.MECHA_DATA_DIR || ".mecha")),
    resources: options.resources ?? (environment.MECHA_RESOURCES ? [environment.MECHA_RESOURCES] : undefined),
    watchResources: options.watchResources ?? listen !== false,
    components: options.components ?? [],
    resolveComponent: options.resolveComponent ?? (async () => undefined),
    knownComponentTypes: options.knownComponentTypes ?? [],
    listen,
    edge: options.edge,
    token,
    allowedHosts: options.allowedHosts ?? [],
    allowedOrigins: options.allowedOrigins ?? [],
    appPort: options.appPort === undefined ? undefined : tcpPort("appPort", options.appPort),
    appToken,
    appName: requireDnsLabel("appName", options.appName ?? appId),
    onAppFailed: options.onAppFailed,
    mesh: (options.mesh ?? listen !== false) ? resolveMeshOptions(options.mesh || undefined, environment) : undefined,
    adminSocket: options.adminSocket ?? listen !== false,
    clock: options.clock ?? systemClock,
    logger: options.logger ?? (options.logLevel ? await createPinoLogger(options.logLevel) : silentLogger),
    accessLog: options.accessLog ?? false,
    tracer: options.tracer,
    traceUnsampled: options.traceUnsampled ?? true,
    environment,
    startTimeoutMs: milliseconds("startTimeoutMs", options.startTimeoutMs ?? 30_000),
    drainTimeoutMs: milliseconds("drainTimeoutMs", options.drainTimeoutMs ?? 30_000),
    healthIntervalMs: milliseconds("healthIntervalMs", options.healthIntervalMs ?? 5_000),
  };
}

function requireDnsLabel(option: string, value: string): string {
  if (dnsLabelPattern.test(value)) return value;
  throw new TypeError(`option \`${option}\` is ${JSON.stringify(value)}; it must be a DNS label: ${dnsLabelInWords}`);
}

function tcpPort(option: string, value: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= 65_535) return value;
  throw new TypeError(`option \`${option}\` is ${value}; it must be a TCP port, 1 to 65535`);
}

function milliseconds(option: string, value: number): number {
  if (Number.isFinite(value) && value >= 0) return value;
  throw new TypeError(`option \`${option}\` is ${value}; it must be a number of milliseconds, 0 or more`);
}
