// Starts the built CLI as a user would: a process of its own, in a folder of its own, with nothing of Mecha in its environment.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

const program = join(import.meta.dirname, "../dist/mecha.js");

/** How a process ended. */
export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** A running `mecha`; disposing kills it. */
export interface Running extends AsyncDisposable {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Resolves with the match once the output (stdout, then stderr) has one. */
  output(pattern: RegExp): Promise<RegExpExecArray>;
}

export interface StartOptions {
  cwd: string;
  env?: Record<string, string>;
  /** What stands on its standard input. */
  input?: string;
}

/** Starts `mecha` with these arguments. */
export function start(args: string[], { cwd, env = {}, input = "" }: StartOptions): Running {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(MECHA_|NO_COLOR|FORCE_COLOR)/.test(name));
  const child = spawn(process.execPath, [program, ...args], { cwd, env: { ...Object.fromEntries(inherited), ...env } });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  // A command that reads no input may be gone before it is written.
  child.stdin.on("error", () => {}).end(input);
  const ended = new Promise<Ended>((resolve) => {
    child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
  return {
    child,
    ended,
    async output(pattern) {
      const match = () => pattern.exec(stdout + stderr);
      const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
      await until(() => match() !== null || hasEnded()).catch(() => {});
      const found = match();
      if (found !== null) return found;
      const what = hasEnded() ? "ended before it said" : "has not said";
      throw new Error(`mecha ${args.join(" ")} ${what} ${pattern}:\n${stdout}${stderr}`);
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

/** Runs `mecha` to its end. */
export async function mecha(args: string[], options: StartOptions): Promise<Ended> {
  await using running = start(args, options);
  return await running.ended;
}

/** Asks until the answer is neither null nor undefined nor false. */
export async function until<T>(ask: () => T | Promise<T>, timeoutMs = 15_000): Promise<NonNullable<Exclude<T, false>>> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== null && answer !== undefined && answer !== false) return answer as NonNullable<Exclude<T, false>>;
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${ask.toString()}`);
    await delay(10);
  }
}

/** A folder that is gone at the end of its scope. */
export async function temporaryFolder(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), "mecha-cli-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) };
}

/** Whether a process is there (and not only a zombie that waits for its parent). */
export function isAlive(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch {
    return false;
  }
}

/** Starts `mecha serve` on a free port, and waits until it is ready. */
export async function serve(args: string[], options: StartOptions): Promise<Running & { endpoint: string }> {
  const running = start(["serve", "--app-id", "shop", "--port", "0", ...args], options);
  try {
    const [, endpoint = ""] = await running.output(/"endpoint":"([^"]+)".*"msg":"ready"/);
    return { ...running, endpoint };
  } catch (error) {
    await running[Symbol.asyncDispose]();
    throw error;
  }
}

/** Resources with two mistakes, in lines 4 and 9. */
export const wrongResources = `apiVersion: mecha.dev/v1
kind: Component
metadata: { name: main }
spec: { type: sqllite }
---
apiVersion: mecha.dev/v1
kind: Component
metadata: { name: cache }
spec: { type: memory, blocs: [state] }
`;
