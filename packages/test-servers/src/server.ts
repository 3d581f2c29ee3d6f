import { type ChildProcess, type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";

/** A real server on a free port of 127.0.0.1, with its data in a temporary folder; disposing stops it and removes the data. */
export interface TestServer extends AsyncDisposable {
  readonly port: number;
  /** Of its first process; it changes with each start. */
  readonly pid: number;
  /** What a component's `url` wants. */
  readonly url: string;
  /** Its data; the same across restarts. */
  readonly folder: string;
  /** Starts it again, on the same port and data. */
  start(): Promise<void>;
  /** Stops it as an operator would. */
  stop(): Promise<void>;
  /** Kills it with SIGKILL, as a crash would. */
  kill(): Promise<void>;
  /** SIGSTOP: it hangs, with its connections open. */
  pause(): void;
  /** SIGCONT. */
  resume(): void;
}

/** How one kind of server is run. */
export interface ServerKind {
  url(port: number): string;
  /** Prepares the empty data folder, once. */
  prepare?(folder: string): Promise<void>;
  command(port: number, folder: string): { program: string; args: string[]; env?: Record<string, string> };
  /** Whether it takes calls; asked until it does. */
  isReady(port: number, folder: string): Promise<boolean>;
  /** What stops it in good order. Default SIGTERM. */
  stopSignal?: NodeJS.Signals;
  /** Cleans up what its own process leaves behind. */
  afterStop?(port: number, folder: string): Promise<void>;
}

const startTimeoutMs = 120_000;

/** Starts a server of a kind and waits until it takes calls. */
export async function startServer(kind: ServerKind): Promise<TestServer> {
  const folder = await mkdtemp(join(tmpdir(), "mecha-test-"));
  const port = await freePort();
  await kind.prepare?.(folder);
  let child: ChildProcess | undefined;

  const end = async (signal: NodeJS.Signals) => {
    const ending = child;
    child = undefined;
    if (ending === undefined) return;
    if (ending.exitCode === null && ending.signalCode === null) {
      const exited = once(ending, "exit");
      signalAll(ending, "SIGCONT");
      if (signal === "SIGKILL") signalAll(ending, signal);
      else ending.kill(signal);
      await exited;
    }
    await kind.afterStop?.(port, folder);
    // A server's own children may hold its port a little longer than it lives.
    while (await answers(port, "", "")) await delay(5);
  };

  const server: TestServer = {
    port,
    folder,
    url: kind.url(port),
    get pid() {
      if (child?.pid === undefined) throw new Error("the server does not run");
      return child.pid;
    },
    async start() {
      if (child !== undefined) throw new Error("the server is running already");
      const { program, args, env } = kind.command(port, folder);
      const started = spawnBound(program, args, folder, { ...process.env, ...env });
      child = started;
      let output = "";
      for (const stream of [started.stdout, started.stderr]) {
        stream.on("data", (chunk: Buffer) => {
          output = (output + chunk.toString()).slice(-4000);
        });
      }
      const deadline = Date.now() + startTimeoutMs;
      while (!(await kind.isReady(port, folder))) {
        if (started.exitCode !== null || started.signalCode !== null) throw new Error(`${program} exited:\n${output}`);
        if (Date.now() > deadline) throw new Error(`${program} was not ready within ${startTimeoutMs} ms:\n${output}`);
        await delay(20);
      }
    },
    stop: () => end(kind.stopSignal ?? "SIGTERM"),
    kill: () => end("SIGKILL"),
    pause() {
      if (child === undefined) return;
      signalAll(child, "SIGSTOP");
      untilStopped(child.pid);
    },
    resume: () => child && signalAll(child, "SIGCONT"),
    async [Symbol.asyncDispose]() {
      await end("SIGKILL");
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
  try {
    await server.start();
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
  return server;
}

/** Signals a server's processes, all of them: PostgreSQL has one for each connection. */
/** Waits, on Linux, until no thread of a process runs any more: a moment after the signal one may still answer. */
function untilStopped(pid: number | undefined): void {
  const threads = `/proc/${pid}/task`;
  const deadline = Date.now() + 1_000;
  const isStopped = (thread: string) => /^.*\) T /.test(readFileSync(`${threads}/${thread}/stat`, "utf8"));
  while (existsSync(threads) && Date.now() < deadline && !readdirSync(threads).every(isStopped));
}

function signalAll(child: ChildProcess, signal: NodeJS.Signals): void {
  for (const pid of child.pid === undefined ? [] : processTree(child.pid)) {
    try {
      process.kill(pid, signal);
    } catch {
      // It has ended meanwhile.
    }
  }
}

/** A process and what it started, as Linux tells; elsewhere the process alone. */
function processTree(pid: number): number[] {
  return [pid, ...childrenOf(pid).flatMap(processTree)];
}

function childrenOf(pid: number): number[] {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
    return children === "" ? [] : children.split(" ").map(Number);
  } catch {
    // It has ended meanwhile, or this is not Linux.
    return [];
  }
}

/** Spawns a program that dies with this process, whatever ends it. */
export function spawnBound(
  program: string,
  args: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv,
): ChildProcessByStdio<null, Readable, Readable> {
  const [command, ...rest] =
    process.platform === "linux" ? ["setpriv", "--pdeathsig", "KILL", "--", program, ...args] : [program, ...args];
  return spawn(command as string, rest, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
}

/** A port of 127.0.0.1 that nobody listens on now. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const address = probe.address();
  probe.close();
  await once(probe, "close");
  if (address === null || typeof address === "string") throw new Error("no TCP port to be had");
  return address.port;
}

/** Sends `request` to a port and says whether the answer begins with `expected` (an empty `request` waits for a greeting). */
export function answers(port: number, request: string | Uint8Array, expected: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const done = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(1000, () => done(false));
    socket.on("error", () => done(false));
    socket.on("close", () => done(false));
    socket.on("connect", () => (expected === "" ? done(true) : socket.write(request)));
    socket.on("data", (chunk) => done(chunk.toString("latin1").startsWith(expected)));
  });
}
