import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { createRuntime, type MeshOptions, type Runtime } from "@mecha/runtime";
import type { Logger } from "pino";
import { componentTypes, loadComponent } from "./components.js";
import { CliError } from "./errors.js";
import { trimMemory, tuneHeap } from "./heap.js";
import { describePortHolder } from "./port-holder.js";
import type { RuntimeSettings } from "./settings.js";
import { readToken } from "./token.js";
import { startTracing, type Tracing } from "./tracing/tracing.js";

/** What a runtime of the CLI is started with. */
export interface StartOptions {
  settings: RuntimeSettings;
  /** What callers must send; undefined: nothing. */
  token: string | undefined;
  /** What it sends with what it posts to the app. Default: `MECHA_APP_TOKEN`, if that is set. */
  appToken?: string;
  /** Told when the app should be started anew, with why. Default: it is logged. */
  onAppFailed?: (reason: string) => void;
  /** Takes any free port if the one in `settings` is busy. */
  anyPort: boolean;
  logger: Logger;
}

/** A runtime in a process that is there for it. */
export interface RunningRuntime {
  readonly runtime: Runtime;
  /** Settles when it has stopped, whoever stopped it, and its last spans are sent. */
  readonly ended: Promise<void>;
}

/** Starts the runtime with the CLI's components. A busy port is told with the process that holds it. */
export async function startRuntime(options: StartOptions): Promise<RunningRuntime> {
  tuneHeap();
  const { appId, namespace } = options.settings;
  const tracing = await startTracing(appId, namespace, process.env);
  const runtime = await start(options, tracing);
  trimMemory();
  return { runtime, ended: runtime.closed.then(() => tracing?.close()) };
}

async function start(options: StartOptions, tracing: Tracing | undefined): Promise<Runtime> {
  const { settings, token, logger } = options;
  const mesh = await withEnrollToken(settings, logger);
  const startOn = (listen: RuntimeSettings["listen"]) =>
    createRuntime({
      appId: settings.appId,
      appName: settings.appName,
      namespace: settings.namespace,
      dataDir: settings.dataDir,
      ...(settings.resources !== undefined && { resources: settings.resources }),
      ...(settings.appPort !== undefined && { appPort: settings.appPort }),
      mesh,
      accessLog: settings.accessLog,
      ...(settings.edge !== undefined && { edge: settings.edge }),
      allowedOrigins: settings.allowedOrigins,
      ...(token !== undefined && { token }),
      ...(options.appToken !== undefined && { appToken: options.appToken }),
      ...(options.onAppFailed !== undefined && { onAppFailed: options.onAppFailed }),
      // `--no-token` means none, whatever the environment says.
      environment: { ...process.env, MECHA_API_TOKEN: undefined },
      resolveComponent: loadComponent,
      knownComponentTypes: componentTypes,
      listen,
      logger,
      ...(tracing !== undefined && { tracer: tracing.tracer, traceUnsampled: tracing.traceUnsampled }),
    });
  const { listen } = settings;
  try {
    return await startOn("port" in listen && options.anyPort ? { ...listen, port: await freePort(listen) } : listen);
  } catch (error) {
    if (!isAddressInUse(error)) throw error;
    if ("path" in listen) throw new CliError(`${listen.path} is in use: another runtime answers on this socket`);
    if (options.anyPort) return await startOn({ ...listen, port: 0 });
    throw new CliError(
      `port ${listen.port} is in use by ${await describePortHolder(listen.port)}; stop it, or choose another with --port`,
    );
  }
}

/** The mesh options, with the token to enrol with. A runtime that is enrolled needs none, so its file may be gone by then. */
async function withEnrollToken({ mesh, enrollTokenFile: path }: RuntimeSettings, logger: Logger): Promise<MeshOptions> {
  const address = mesh.authority?.address ?? process.env.MECHA_CA;
  if (path === undefined || !address) return mesh;
  if (!existsSync(path)) {
    logger.info({ path }, "there is no file with a token to enrol with, which is well if this runtime is enrolled");
    return mesh;
  }
  return { ...mesh, authority: { address, token: await readToken(path) } };
}

/** The port if nobody listens on it, else 0. Asked before the runtime starts, so that it need not start twice. */
function freePort({ host, port }: { host: string; port: number }): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer()
      .once("error", () => resolve(0))
      .listen({ host, port, exclusive: true }, () => probe.close(() => resolve(port)));
  });
}

function isAddressInUse(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EADDRINUSE";
}
