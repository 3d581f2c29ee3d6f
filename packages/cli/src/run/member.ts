import { randomBytes } from "node:crypto";
import { relative } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { CliError, exitCodes } from "../errors.js";
import { formatWait } from "../format.js";
import { describeError } from "../report.js";
import type { RuntimeSettings } from "../settings.js";
import { type App, type Exit, startApp } from "./app.js";
import type { AppLog } from "./log.js";
import { graceMs, signalGroup } from "./process-group.js";
import { createRestarts, type RestartOptions } from "./restart.js";
import { type SidecarProcess, startSidecar } from "./sidecar-process.js";
import { watchFiles } from "./watch.js";

/** An app, and the runtime beside it. */
export interface MemberOptions {
  /** What others call it; unique among those that run together. */
  name: string;
  settings: RuntimeSettings;
  /** Whether the port was asked for by name: then a busy one is an error, else another is taken. */
  portIsChosen: boolean;
  command: string;
  args: readonly string[];
  /** Where the app works. Default: where we do. */
  dir?: string | undefined;
  /** What the app finds in its environment beside ours. */
  env?: Readonly<Record<string, string>>;
  restart: RestartOptions;
  /** The files and folders whose change starts the app anew; absolute. */
  watch: readonly string[];
  log: AppLog;
}

/** How an app ended for good. */
export interface End {
  /** The app's exit code, as a shell has it. */
  code: number;
  /** Whether it ended in another way than it should: what ends because it is asked to does not fail. */
  failed: boolean;
  /** "exit code 3", "SIGKILL", or what went wrong. */
  how: string;
  /** Set where the app has no say in it: it could not be started, or its runtime was lost. */
  error?: CliError;
}

/** An app that runs, or is about to, and the runtime beside it. */
export interface Member {
  readonly name: string;
  readonly log: AppLog;
  /** Where its runtime listens; undefined while there is none. */
  readonly endpoint: string | undefined;
  /** Whether it only waits for its runtime to drain. */
  readonly draining: boolean;
  /** Starts the runtime, if there is none; rejects with why it does not start. */
  startRuntime(): Promise<unknown>;
  /** Runs the app, and starts it anew as its policy has it. Resolves when it ended for good and its runtime has drained; never rejects. */
  run(): Promise<End>;
  /** Resolves once the app takes calls, or has done its work: true; or ended for good in another way: false. */
  ready(): Promise<boolean>;
  /** Stops the app, for good, and then its runtime. */
  stop(signal: NodeJS.Signals): void;
  /** Drains the runtime of an app that is not to run. */
  abandon(): Promise<void>;
  /** Ends both at once. */
  kill(): void;
}

/** What happens to a running app, or to one that waits for its next start. */
type Event =
  | { type: "stop"; signal: NodeJS.Signals }
  | { type: "changed"; file: string }
  | { type: "unhealthy"; reason: string }
  | { type: "lost"; how: string };

/** How often it is asked whether an app is ready, in ms. */
const readyIntervalMs = 50;

const createToken = () => randomBytes(32).toString("base64url");

/** Makes an app ready to be run. */
export function createMember(options: MemberOptions): Member {
  const { name, settings, log } = options;
  const token = createToken();
  const appToken = createToken();
  const restarts = createRestarts(options.restart);
  let { listen } = settings;
  let sidecar: SidecarProcess | undefined;
  let app: App | undefined;
  let appProcessId: number | undefined;
  let stopping = false;
  let draining = false;
  /** How the app ended when it last did; undefined while it runs. */
  let last: End | undefined;
  let ended = false;
  let notify: (event: Event) => void = () => {};

  const startRuntime = async (): Promise<SidecarProcess> => {
    if (sidecar !== undefined) return sidecar;
    const started = await startSidecar({
      settings: { ...settings, listen },
      token,
      appToken,
      portIsChosen: options.portIsChosen,
      style: log.style,
      output: log.runtimeOutput(),
      onAppFailed(processId, reason) {
        // What it says of a process that is gone is late.
        if (processId === appProcessId) notify({ type: "unhealthy", reason });
      },
    });
    sidecar = started;
    // Should it be lost, the next one is found where it was.
    if ("port" in listen) listen = { ...listen, port: Number(new URL(started.endpoint).port) };
    void started.exited.then((how) => {
      if (sidecar !== started) return;
      sidecar = undefined;
      notify({ type: "lost", how });
    });
    return started;
  };

  /** Starts the app and waits until it is gone. */
  const runOnce = async (): Promise<{ end: End; changed?: string | undefined; hopeless?: boolean }> => {
    // Before anything is started, so that nothing is missed.
    let changed: string | undefined;
    const happened = new Promise<Event>((resolve) => {
      notify = (event) => {
        if (event.type === "changed") changed ??= event.file;
        resolve(event);
      };
    });
    let runtime: SidecarProcess;
    try {
      runtime = await startRuntime();
    } catch (error) {
      return { end: endOfError(`its runtime did not start: ${describeError(error)}`) };
    }
    try {
      app = await startApp({
        command: options.command,
        args: options.args,
        dir: options.dir,
        output: log.appOutput(),
        env: {
          ...process.env,
          // The app writes to a pipe, but a person reads it.
          ...(log.style.pretty && log.style.color && process.env.FORCE_COLOR === undefined && { FORCE_COLOR: "1" }),
          ...options.env,
          MECHA_ENDPOINT: runtime.endpoint,
          MECHA_APP_ID: settings.appId,
          MECHA_API_TOKEN: token,
          MECHA_APP_TOKEN: appToken,
          // The runtime's, to prove who it is by: not for the app.
          MECHA_ENROLL_TOKEN: undefined,
        },
        onSpawn(processId) {
          appProcessId = processId;
          runtime.watch(processId);
        },
      });
    } catch (error) {
      const known = error instanceof CliError ? error : new CliError(`cannot start the app: ${describeError(error)}`);
      return { end: { code: known.exitCode, failed: true, how: known.message, error: known }, hopeless: true };
    }
    last = undefined;
    const first = await Promise.race([app.exited, happened]);
    // Who calls the app should not find it closed.
    if (!("code" in first) && first.type === "stop") await Promise.race([runtime.withdraw(), app.exited]);
    const exit = "code" in first ? first : await stopApp(app, first.type === "stop" ? first.signal : "SIGTERM");
    app = undefined;
    appProcessId = undefined;
    if ("code" in first) return { end: endOfExit(exit, stopping), changed };
    switch (first.type) {
      case "stop":
      case "changed":
        return { end: endOfExit(exit, true), changed };
      case "unhealthy":
        return { end: { code: exitCodes.failed, failed: true, how: first.reason } };
      case "lost":
        return { end: endOfError(`the runtime was lost (${first.how}), so the app was stopped`) };
    }
  };

  /** Waits until it is time, or until the app is to be stopped or was changed. */
  const pause = (ms: number | undefined) =>
    new Promise<Event | undefined>((resolve) => {
      const timer = ms === undefined ? undefined : setTimeout(() => resolve(undefined), ms);
      notify = (event) => {
        if (event.type !== "stop" && event.type !== "changed") return;
        clearTimeout(timer);
        resolve(event);
      };
    });

  const keepRunning = async (): Promise<End> => {
    for (;;) {
      if (stopping) return last ?? { code: exitCodes.ok, failed: false, how: "it was not started" };
      const startedAt = performance.now();
      const { end, changed, hopeless } = await runOnce();
      last = end;
      if (stopping) return end;
      if (changed !== undefined) {
        startAnew(changed);
        continue;
      }
      const ranMs = performance.now() - startedAt;
      const restart = hopeless ? undefined : restarts.next({ failed: end.failed, ranMs });
      if (restart === undefined && options.watch.length === 0) return end;
      sidecar?.watch(undefined);
      log.say(describeWait(end, restart));
      const event = await pause(restart?.afterMs);
      if (event?.type === "changed") startAnew(event.file);
    }
  };
  const startAnew = (file: string) => {
    log.say(`${relative(options.dir ?? process.cwd(), file) || file} changed, it starts anew`);
    restarts.reset();
  };

  return {
    name,
    log,
    get endpoint() {
      return sidecar?.endpoint;
    },
    get draining() {
      return draining;
    },
    startRuntime,
    async run() {
      const stopWatching =
        options.watch.length > 0 &&
        (await watchFiles({
          paths: options.watch,
          except: settings.dataDir,
          onChange: (file) => notify({ type: "changed", file }),
          onError: (error) => log.say(`its files are not watched any more: ${error.message}`),
        }));
      const end = await keepRunning();
      ended = true;
      if (stopWatching) await stopWatching();
      // The app is gone: now the runtime may go.
      draining = true;
      await sidecar?.stop();
      return end;
    },
    async ready() {
      for (;;) {
        if (ended || last?.failed === false) return last?.failed === false;
        if (app !== undefined && sidecar !== undefined && (await isReady(sidecar.endpoint))) return true;
        await delay(readyIntervalMs);
      }
    },
    stop(signal) {
      stopping = true;
      notify({ type: "stop", signal });
    },
    async abandon() {
      ended = true;
      await sidecar?.stop();
    },
    kill() {
      if (appProcessId !== undefined) signalGroup(appProcessId, "SIGKILL");
      sidecar?.kill();
    },
  };
}

/** Asks the app to end; kills it when it does not within the grace. */
async function stopApp(app: App, signal: NodeJS.Signals): Promise<Exit> {
  app.signal(signal);
  const timer = setTimeout(() => app.signal("SIGKILL"), graceMs);
  try {
    return await app.exited;
  } finally {
    clearTimeout(timer);
  }
}

function endOfExit({ code, signal }: Exit, asked: boolean): End {
  return { code, failed: code !== 0 && !asked, how: signal ?? `exit code ${code}` };
}

function endOfError(message: string): End {
  return { code: exitCodes.failed, failed: true, how: message, error: new CliError(message) };
}

function describeWait({ failed, how }: End, restart: { afterMs: number; count: number } | undefined): string {
  if (restart === undefined) return `${failed ? "failed" : "ended"} (${how}), waits for a change`;
  const times = restart.count === 1 ? "" : ` ${restart.count} times`;
  return `${failed ? "failed" : "ended"}${times} (${how}), next try in ${formatWait(restart.afterMs)}`;
}

/** Whether the runtime takes calls, and the app beside it. */
async function isReady(endpoint: string): Promise<boolean> {
  const response = await fetch(new URL("/readyz", endpoint)).catch(() => undefined);
  await response?.body?.cancel();
  return response?.ok === true;
}
