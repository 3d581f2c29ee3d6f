import { type ChildProcess, spawn } from "node:child_process";
import { CliError, describeSystemError, signalExitCode } from "../errors.js";
import type { Output } from "./log.js";
import { endGroup, signalGroup } from "./process-group.js";

/** How an app starts. */
export interface AppOptions {
  command: string;
  args: readonly string[];
  /** Where it works. Default: where we do. */
  dir: string | undefined;
  env: NodeJS.ProcessEnv;
  /** Where its output goes; undefined hands the app our own streams, untouched. */
  output: Output | undefined;
  /** Called as soon as there is a process, before anything else can happen. */
  onSpawn?: (processId: number) => void;
}

/** How an app ended. */
export interface Exit {
  /** Its exit code; 128 + n when signal n ended it, as a shell has it. */
  code: number;
  signal: NodeJS.Signals | undefined;
}

/** The user's program, running. */
export interface App {
  readonly processId: number;
  /** Resolves once the app is gone and all it printed is written. */
  readonly exited: Promise<Exit>;
  /** Signals the app and everything it started. */
  signal(signal: NodeJS.Signals): void;
}

/** How long what is left in the app's pipes may take to arrive after the app is gone (a process it left behind holds them open). */
const lastOutputMs = 500;

/** Starts the app; rejects with the words and the exit code of a shell when it cannot be started. */
export async function startApp(options: AppOptions): Promise<App> {
  const { command, args, dir, env, output } = options;
  // A session of its own: a terminal's Ctrl-C then reaches the app once, from us, and a signal reaches all that the app started
  // (`npm start` does not pass one on).
  const child = spawn(command, args, {
    detached: true,
    ...(dir !== undefined && { cwd: dir }),
    env,
    stdio: output === undefined ? "inherit" : ["ignore", "pipe", "pipe"],
  });
  if (child.pid !== undefined) options.onSpawn?.(child.pid);
  const exited = waitForExit(child);
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", (error) => reject(cannotStart(command, dir, error)));
  });
  const processId = child.pid ?? 0;
  if (output !== undefined) {
    child.stdout?.pipe(output.stdout);
    child.stderr?.pipe(output.stderr);
  }
  return { processId, exited, signal: (signal) => signalGroup(processId, signal) };
}

async function waitForExit(child: ChildProcess): Promise<Exit> {
  const outputEnded = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const exit = await new Promise<Exit>((resolve) => {
    child.once("exit", (code, signal) => {
      resolve(signal === null ? { code: code ?? 0, signal: undefined } : { code: signalExitCode(signal), signal });
    });
  });
  // What the app left behind in its session belongs to this run as well: the program behind `npm start`, which ends before it.
  if (child.pid !== undefined) await endGroup(child.pid);
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([
    outputEnded,
    new Promise<void>((resolve) => {
      timer = setTimeout(resolve, lastOutputMs);
    }),
  ]);
  clearTimeout(timer);
  return exit;
}

function cannotStart(command: string, dir: string | undefined, error: Error & { code?: string }): CliError {
  if (error.code === "ENOENT") {
    const where = dir === undefined ? "this folder" : dir;
    return new CliError(`cannot start the app: no program "${command}" is in ${where} or on PATH`, 127);
  }
  return new CliError(`cannot start the app: "${command}": ${describeSystemError(error)}`, 126);
}
