import { fork } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { CliError } from "../errors.js";
import type { Output } from "./log.js";
import type { FromSidecar, StartMessage, ToSidecar } from "./protocol.js";

/** How long an app that is to stop waits for others to know it, in ms. */
const withdrawalMs = 2_000;

/** The runtime beside the app, in a process of its own: if it dies, `mecha run` is there to stop the app. */
export interface SidecarProcess {
  readonly endpoint: string;
  /** Resolves when the process is gone, with the words that tell how it went: "exit code 1", "SIGKILL". */
  readonly exited: Promise<string>;
  /** Tells the runtime which process group to stop, should this process be killed; undefined: none any more. */
  watch(processId: number | undefined): void;
  /** Has other apps go elsewhere; resolves when they do, or after a while. */
  withdraw(): Promise<void>;
  /** Drains and stops it. */
  stop(): Promise<void>;
  /** Ends it without a drain. */
  kill(): void;
}

/** How a runtime is started beside an app. */
export interface SidecarOptions extends Omit<StartMessage, "type"> {
  /** Where its log goes; undefined: our stderr. */
  output: Output | undefined;
  /** A process of the app should be ended, and the app started anew. */
  onAppFailed: (processId: number, reason: string) => void;
}

/** Starts the runtime and waits until it is ready; rejects with why it is not. */
export async function startSidecar(options: SidecarOptions): Promise<SidecarProcess> {
  const { output, onAppFailed, ...start } = options;
  const child = fork(new URL("./sidecar.js", import.meta.url), {
    // A session of its own: a terminal's Ctrl-C must not stop it before the app is done with it.
    detached: true,
    // In a pipe the app owns stdout: `mecha run … > file` has what the app printed, and nothing else.
    stdio: ["ignore", output === undefined ? 2 : "pipe", output === undefined ? 2 : "pipe", "ipc"],
  });
  if (output !== undefined) {
    child.stdout?.pipe(output.stdout);
    child.stderr?.pipe(output.stderr);
  }
  const exited = new Promise<string>((resolve) => {
    child.once("close", (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
  const withdrawn = Promise.withResolvers<void>();
  const tell = (message: ToSidecar) => {
    if (child.connected) child.send(message);
  };
  const endpoint = await new Promise<string>((resolve, reject) => {
    child.once("error", reject);
    child.on("message", (message: FromSidecar) => {
      if (message.type === "ready") resolve(message.endpoint);
      else if (message.type === "failed") reject(new CliError(message.message));
      else if (message.type === "withdrawn") withdrawn.resolve();
      else onAppFailed(message.processId, message.reason);
    });
    exited.then((how) => reject(new CliError(`the runtime ended before it was ready (${how})`)));
    tell({ type: "start", ...start });
  });
  return {
    endpoint,
    exited,
    watch: (processId) => tell(processId === undefined ? { type: "app-ended" } : { type: "app", processId }),
    async withdraw() {
      tell({ type: "withdraw" });
      await Promise.race([withdrawn.promise, exited, delay(withdrawalMs, undefined, { ref: false })]);
    },
    async stop() {
      tell({ type: "stop" });
      await exited;
    },
    kill: () => child.kill("SIGKILL"),
  };
}
