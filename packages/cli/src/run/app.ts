import { type ChildProcess, spawn } from "node:child_process";
import { CliError, describeSystemError, signalExitCode } from "../errors.js";
import { createLineWriter } from "./lines.js";

/** How an app starts. */
export interface AppOptions {
  command: string;
  args: string[];
  env: NodeJS.ProcessEnv;
  /** Written before each line of the app's output; undefined hands the app our own streams, untouched. */
  prefix: string | undefined;
}

/** The user's program, running. */
export interface App {
  readonly processId: number;
  /** Resolves with what `mecha run` exits with, once the app is gone and all it printed is written. */
  readonly exitCode: Promise<number>;
  /** Signals the app and everything it started. */
  signal(signal: NodeJS.Signals): void;
}

/** How long what is left in the app's pipes may take to arrive after the app is gone (a process it left behind holds them open). */
const lastOutputMs = 500;

/** Starts the app; rejects with the words and the exit code of a shell when it cannot be started. */
export async function startApp(options: AppOptions): Promise<App> {
  const { command, args, prefix } = options;
  // A session of its own: a terminal's Ctrl-C then reaches the app once, from us, and a signal reaches all that the app started
  // (`npm start` does not pass one on).
  const child = spawn(command, args, {
    detached: true,
    env: options.env,
    stdio: prefix === undefined ? "inherit" : ["ignore", "pipe", "pipe"],
  });
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", (error) => reject(cannotStart(command, error)));
  });
  const processId = child.pid ?? 0;
  if (prefix !== undefined) {
    child.stdout?.pipe(createLineWriter(process.stdout, prefix));
    child.stderr?.pipe(createLineWriter(process.stderr, prefix));
  }
  return {
    processId,
    exitCode: waitForExit(child, processId),
    signal: (signal) => signalGroup(processId, signal),
  };
}

/** Signals a process group; one that is gone already (EPERM where only zombies are left, on macOS) is no error. */
export function signalGroup(processId: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-processId, signal);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code !== "ESRCH" && code !== "EPERM") throw error;
  }
}

async function waitForExit(child: ChildProcess, processId: number): Promise<number> {
  const outputEnded = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const exitCode = await new Promise<number>((resolve) => {
    child.once("exit", (code, signal) => resolve(signal === null ? (code ?? 0) : signalExitCode(signal)));
  });
  // What the app left behind in its session belongs to this run as well.
  signalGroup(processId, "SIGTERM");
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([
    outputEnded,
    new Promise<void>((resolve) => {
      timer = setTimeout(resolve, lastOutputMs);
    }),
  ]);
  clearTimeout(timer);
  return exitCode;
}

function cannotStart(command: string, error: Error & { code?: string }): CliError {
  if (error.code === "ENOENT") {
    return new CliError(`cannot start the app: no program "${command}" is in this folder or on PATH`, 127);
  }
  return new CliError(`cannot start the app: "${command}": ${describeSystemError(error)}`, 126);
}
