import { randomBytes } from "node:crypto";
import { CliError, signalExitCode } from "../errors.js";
import type { RuntimeSettings } from "../settings.js";
import { handleSignals } from "../signals.js";
import pc from "../terminal/colors.js";
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
  const token = createToken();
  const appToken = createToken();

  const sidecar = await startSidecar(
    {
      type: "start",
      settings,
      token,
      appToken,
      portIsChosen: options.portIsChosen,
      pretty: onTerminal,
      color: pc.isColorSupported,
    },
    prefixes?.runtime,
  );
  try {
    const starting = startApp({
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
        MECHA_APP_TOKEN: appToken,
      },
    });
    return await supervise(starting, sidecar);
  } finally {
    // The app is gone: now the runtime may go.
    await sidecar.stop();
  }
}

const createToken = () => randomBytes(32).toString("base64url");

/** Waits for the app, passes signals on to it, and stops it when the runtime is lost. */
async function supervise(starting: Promise<App>, sidecar: SidecarProcess): Promise<number> {
  let timer: NodeJS.Timeout | undefined;
  const signalApp = (signal: NodeJS.Signals) => {
    // An app that did not start is told below.
    starting.then((app) => app.signal(signal)).catch(() => {});
  };
  const stopApp = (signal: NodeJS.Signals) => {
    signalApp(signal);
    timer ??= setTimeout(() => signalApp("SIGKILL"), graceMs);
  };
  const stopHandling = handleSignals({
    first: stopApp,
    second(signal) {
      signalApp("SIGKILL");
      sidecar.kill();
      setImmediate(() => process.exit(signalExitCode(signal)));
    },
  });
  try {
    const app = await starting;
    sidecar.watch(app.processId);
    const lost = sidecar.exited.then((how) => ({ how }));
    const first = await Promise.race([app.exitCode, lost]);
    if (typeof first === "number") return first;
    stopApp("SIGTERM");
    await app.exitCode;
    throw new CliError(`the runtime was lost (${first.how}), so the app was stopped`);
  } finally {
    clearTimeout(timer);
    // What is left is the runtime's drain: a signal ends it.
    stopHandling();
  }
}
