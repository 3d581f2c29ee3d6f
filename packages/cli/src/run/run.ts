import { randomBytes } from "node:crypto";
import pc from "picocolors";
import { CliError, signalExitCode } from "../errors.js";
import type { RuntimeSettings } from "../settings.js";
import { listenForSignals, type SignalListener } from "../signals.js";
import { type App, startApp } from "./app.js";
import { createPrefixes } from "./lines.js";
import { type SidecarProcess, startSidecar } from "./sidecar-process.js";

/** What `mecha run` does. */
export interface RunOptions {
  settings: RuntimeSettings;
  command: string;
  args: string[];
  /** Whether the port was asked for by name: then a busy one is an error, else another is taken. */
  portIsChosen: boolean;
}

/** How long the app may take to end after the first signal, or after the runtime is lost, in ms. */
const graceMs = 30_000;

/** Runs the app beside a runtime of its own until the app ends; resolves with the app's exit code. */
export async function run(options: RunOptions): Promise<number> {
  const { settings, command, args } = options;
  const onTerminal = process.stdout.isTTY === true;
  const prefixes = onTerminal ? createPrefixes(settings.appId) : undefined;
  const token = randomBytes(32).toString("base64url");

  const stopping = listenForSignals();
  const sidecar = await startSidecar(
    {
      type: "start",
      settings,
      token,
      portIsChosen: options.portIsChosen,
      pretty: onTerminal,
      color: pc.isColorSupported,
    },
    prefixes?.runtime,
  );
  try {
    if (stopping.received !== undefined) return signalExitCode(stopping.received);
    const app = await startApp({
      command,
      args,
      prefix: prefixes?.app,
      env: {
        ...process.env,
        // The app writes to a pipe, but a person reads it.
        ...(onTerminal && pc.isColorSupported && process.env.FORCE_COLOR === undefined && { FORCE_COLOR: "1" }),
        MECHA_ENDPOINT: sidecar.endpoint,
        MECHA_APP_ID: settings.appId,
        MECHA_API_TOKEN: token,
      },
    });
    sidecar.watch(app.processId);
    return await supervise(app, sidecar, stopping);
  } finally {
    // The app is gone: now the runtime may go.
    await sidecar.stop();
    stopping.close();
  }
}

/** Waits for the app, passes signals on to it, and stops it when the runtime is lost. */
async function supervise(app: App, sidecar: SidecarProcess, stopping: SignalListener): Promise<number> {
  let timer: NodeJS.Timeout | undefined;
  const stopApp = (signal: NodeJS.Signals) => {
    app.signal(signal);
    timer ??= setTimeout(() => app.signal("SIGKILL"), graceMs);
  };
  stopping.handle({
    first: stopApp,
    second(signal) {
      app.signal("SIGKILL");
      sidecar.kill();
      process.exit(signalExitCode(signal));
    },
  });
  const lost = sidecar.exited.then((how) => ({ how }));
  const first = await Promise.race([app.exitCode, lost]);
  if (typeof first === "object") stopApp("SIGTERM");
  const exitCode = await app.exitCode;
  clearTimeout(timer);
  if (typeof first === "number") return exitCode;
  throw new CliError(`the runtime was lost (${first.how}), so the app was stopped`);
}
