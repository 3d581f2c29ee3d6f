import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";

/** Processes of a benchmark, which end with it. */
export class Processes implements AsyncDisposable {
  readonly #children: ChildProcess[] = [];

  /** Starts a program; gives its process id. */
  start(command: string, args: readonly string[], options: { cwd: string; env?: NodeJS.ProcessEnv }): number {
    const child = this.#spawn(command, args, options, ["pipe", "ignore", "ignore"]);
    if (child.pid === undefined) throw new Error(`${command} did not start`);
    return child.pid;
  }

  /** Starts a script of Node's; gives what `pattern` finds in what it prints, once it has. */
  async startNode(
    args: readonly string[],
    options: { cwd: string; env?: NodeJS.ProcessEnv },
    pattern: RegExp,
  ): Promise<{ found: string; pid: number }> {
    const child = this.#spawn(process.execPath, args, options, ["pipe", "pipe", "inherit"]);
    if (child.stdout === null || child.pid === undefined) throw new Error(`${args[0]} did not start`);
    for await (const line of createInterface(child.stdout)) {
      const found = pattern.exec(line)?.[1];
      if (found !== undefined) {
        child.stdout.resume();
        return { found, pid: child.pid };
      }
    }
    throw new Error(`${args[0]} ended before it was ready`);
  }

  #spawn(
    command: string,
    args: readonly string[],
    options: { cwd: string; env?: NodeJS.ProcessEnv },
    stdio: StdioOptions,
  ): ChildProcess {
    const child = spawn(command, args, { ...options, stdio });
    child.on("error", (error) => console.error(`${command}: ${error.message}`));
    this.#children.push(child);
    return child;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = this.#children
      .filter(({ exitCode, signalCode, pid }) => pid !== undefined && exitCode === null && signalCode === null)
      .map((child) => once(child, "exit"));
    for (const child of this.#children) child.kill();
    await Promise.race([Promise.all(ended), delay(5_000)]);
    for (const child of this.#children) child.kill("SIGKILL");
  }
}

/** So many ports that nobody has just now. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}

/** Asks until an answer is well. */
export async function untilAnswered(url: string, init: RequestInit, timeoutMs = 20_000): Promise<void> {
  let last = "";
  for (const deadline = performance.now() + timeoutMs; performance.now() < deadline; await delay(100)) {
    try {
      const response = await fetch(url, init);
      await response.arrayBuffer();
      if (response.ok) return;
      last = `status ${response.status}`;
    } catch (error) {
      last = String((error as Error).cause ?? error);
    }
  }
  throw new Error(`${url} does not answer well: ${last}`);
}
