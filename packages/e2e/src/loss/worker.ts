import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { PublisherOptions, SubscriberOptions, Told } from "./protocol.ts";

/** Which program, and what it is told. */
export type WorkerOrders =
  | readonly [program: "publisher", options: PublisherOptions]
  | readonly [program: "subscriber", options: SubscriberOptions];

/** A program of this folder in a process of its own; it ends with this one, whose end its standard input is. */
export interface Worker extends AsyncDisposable {
  /** SIGKILL; resolves when all that it told is heard. */
  kill(): Promise<void>;
  /** Asks it to finish; resolves when it has, and all that it told is heard. */
  finish(): Promise<void>;
}

/** Starts a program. What it does wrong goes to `fail`: a fault it tells, or an end that nobody asked for. */
export function startWorker(
  program: WorkerOrders[0],
  options: WorkerOrders[1],
  hear: (told: Told) => void,
  fail: (error: Error) => void,
): Worker {
  const path = join(import.meta.dirname, `${program}.ts`);
  const child = spawn(process.execPath, [path, JSON.stringify(options)], { stdio: ["pipe", "pipe", "pipe"] });
  const closed = once(child, "close");
  let isAsked = false;
  let errors = "";
  child.stderr.on("data", (chunk: Buffer) => {
    errors = (errors + chunk.toString()).slice(-4_000);
  });
  // It may be gone when it is asked to go.
  child.stdin.on("error", () => {});
  hearLines(child, (line) => {
    const told: Told = JSON.parse(line);
    if (told[0] === "fault") fail(new Error(`${program}: ${told[1]}`));
    else hear(told);
  });
  child.once("close", (code, signal) => {
    if (!isAsked || (code !== 0 && signal !== "SIGKILL")) {
      fail(new Error(`the ${program} ended by itself (${signal ?? code}):\n${errors}`));
    }
  });
  const kill = async () => {
    isAsked = true;
    child.kill("SIGKILL");
    await closed;
  };
  return {
    kill,
    [Symbol.asyncDispose]: kill,
    async finish() {
      isAsked = true;
      child.stdin.end();
      await closed;
    },
  };
}

/** Hears whole lines only: one that a kill cut short was not told. */
function hearLines({ stdout }: ChildProcess, hear: (line: string) => void): void {
  let rest = "";
  stdout?.setEncoding("utf8").on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) hear(line);
  });
}
