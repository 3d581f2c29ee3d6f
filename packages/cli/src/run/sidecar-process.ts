import { fork } from "node:child_process";
import { CliError } from "../errors.js";
import { createLineWriter } from "./lines.js";
import type { FromSidecar, StartMessage, ToSidecar } from "./protocol.js";

/** The runtime beside the app, in a process of its own: if it dies, `mecha run` is there to stop the app. */
export interface SidecarProcess {
  readonly endpoint: string;
  /** Resolves when the process is gone, with the words that tell how it went: "exit code 1", "SIGKILL". */
  readonly exited: Promise<string>;
  /** Tells the runtime which process group to stop, should this process be killed. */
  watch(processId: number): void;
  /** Drains and stops it. */
  stop(): Promise<void>;
  /** Ends it without a drain. */
  kill(): void;
}

/** Starts the runtime and waits until it is ready; rejects with why it is not. */
export async function startSidecar(start: StartMessage, prefix: string | undefined): Promise<SidecarProcess> {
  const child = fork(new URL("./sidecar.js", import.meta.url), {
    // A session of its own: a terminal's Ctrl-C must not stop it before the app is done with it.
    detached: true,
    // The app owns stdout: `mecha run … > file` has what the app printed, and nothing else.
    stdio: ["ignore", prefix === undefined ? 2 : "pipe", prefix === undefined ? 2 : "pipe", "ipc"],
  });
  if (prefix !== undefined) {
    child.stdout?.pipe(createLineWriter(process.stdout, prefix));
    child.stderr?.pipe(createLineWriter(process.stderr, prefix));
  }
  const exited = new Promise<string>((resolve) => {
    child.once("exit", (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
  const tell = (message: ToSidecar) => {
    if (child.connected) child.send(message);
  };
  const endpoint = await new Promise<string>((resolve, reject) => {
    child.once("error", reject);
    child.once("message", (message: FromSidecar) => {
      if (message.type === "ready") resolve(message.endpoint);
      else reject(new CliError(message.message));
    });
    exited.then((how) => reject(new CliError(`the runtime ended before it was ready (${how})`)));
    tell(start);
  });
  return {
    endpoint,
    exited,
    watch: (processId) => tell({ type: "app", processId }),
    async stop() {
      tell({ type: "stop" });
      await exited;
    },
    kill: () => child.kill("SIGKILL"),
  };
}
