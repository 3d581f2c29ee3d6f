// Runs contestants in turn, so that what else the machine does hits them alike, and takes medians.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { ClientFigures } from "./client.ts";

const file = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** A contestant's server in its own process. */
export class ServerProcess implements AsyncDisposable {
  readonly endpoint: string;
  readonly #child: ChildProcess;
  readonly #lines: Interface;

  private constructor(child: ChildProcess, lines: Interface, endpoint: string) {
    this.#child = child;
    this.#lines = lines;
    this.endpoint = endpoint;
  }

  static async start(name: string, socket = ""): Promise<ServerProcess> {
    const child = spawn(process.execPath, [file("server.ts"), name, socket], { stdio: ["pipe", "pipe", "inherit"] });
    const lines = createInterface(child.stdout);
    const [endpoint] = (await once(lines, "line")) as [string];
    return new ServerProcess(child, lines, endpoint);
  }

  /** CPU used so far, in µs. */
  async cpuMicros(): Promise<number> {
    const answer = once(this.#lines, "line") as Promise<[string]>;
    this.#child.stdin?.write("cpu\n");
    return Number((await answer)[0]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exit = once(this.#child, "exit");
    this.#child.stdin?.end();
    await exit;
  }
}

/** Runs a client contestant and gives what it printed. */
export function runClient(name: string, endpoint: string, what: "get" | "chat", amount: number): ClientFigures {
  const flags = ["--expose-gc", "--max-semi-space-size=128"];
  const { status, stdout } = spawnSync(
    process.execPath,
    [...flags, file("client.ts"), name, endpoint, what, String(amount)],
    { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] },
  );
  if (status !== 0) throw new Error(`the client "${name}" failed`);
  return JSON.parse(stdout) as ClientFigures;
}

/** Measures every contestant once a round; gives the median of each figure, by name. */
export async function alternate<T extends object>(
  rounds: number,
  contestants: Record<string, () => T | Promise<T>>,
): Promise<Record<string, T>> {
  const measured: Record<string, T[]> = {};
  for (let round = 0; round < rounds; round++) {
    for (const [name, measure] of Object.entries(contestants)) {
      measured[name] ??= [];
      measured[name].push(await measure());
    }
  }
  return Object.fromEntries(Object.entries(measured).map(([name, all]) => [name, medians(all)]));
}

function medians<T extends object>(all: readonly T[]): T {
  const [first] = all;
  if (first === undefined) throw new Error("nothing was measured");
  const names = Object.keys(first) as (keyof T)[];
  return Object.fromEntries(
    names.map((name) => {
      const sorted = all.map((each) => Number(each[name])).sort((a, b) => a - b);
      return [name, sorted[Math.floor(sorted.length / 2)]];
    }),
  ) as T;
}
