import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { freePort, spawnBound } from "@mecha/test-servers";

/** The built command, as users run it. */
export const mechaBin = join(createRequire(import.meta.url).resolve("@mecha/cli/package.json"), "../dist/mecha.js");

/** A `mecha serve` of its own, that can be killed and started again. */
export interface Served extends AsyncDisposable {
  readonly endpoint: string;
  /** Where its files are; the same across restarts. */
  readonly folder: string;
  readonly pid: number;
  start(): Promise<void>;
  kill(signal?: NodeJS.Signals): Promise<void>;
}

/** Options of {@link serveMecha}. */
export interface ServeOptions {
  /** A resource file's text. Default: none, the embedded default. */
  readonly resources?: string;
  readonly env?: Record<string, string>;
  readonly args?: readonly string[];
  /** Where its files are; with a folder of another one, two runtimes share them. Default: a new temporary folder. */
  readonly folder?: string;
}

const readyWithinMs = 30_000;

/** Starts `mecha serve` on a free port and waits until it is ready. */
export async function serveMecha({ resources, env = {}, args = [], folder }: ServeOptions = {}): Promise<Served> {
  const home = folder ?? mkdtempSync(join(tmpdir(), "mecha-e2e-"));
  const port = await freePort();
  const endpoint = `http://127.0.0.1:${port}`;
  if (resources !== undefined) writeFileSync(join(home, "mecha.yaml"), resources);
  let child: ChildProcess | undefined;

  const kill = async (signal: NodeJS.Signals = "SIGKILL") => {
    const ending = child;
    child = undefined;
    if (ending === undefined || ending.exitCode !== null || ending.signalCode !== null) return;
    const exited = once(ending, "exit");
    ending.kill(signal);
    await exited;
  };

  const served: Served = {
    endpoint,
    folder: home,
    get pid() {
      if (child?.pid === undefined) throw new Error("mecha serve does not run");
      return child.pid;
    },
    async start() {
      const command = [mechaBin, "serve", "--app-id", "e2e", "--port", String(port), "--data-dir", home, ...args];
      const started = spawnBound(process.execPath, command, home, { ...process.env, ...env });
      child = started;
      let output = "";
      for (const stream of [started.stdout, started.stderr]) {
        stream.on("data", (chunk: Buffer) => {
          output = (output + chunk.toString()).slice(-8_000);
        });
      }
      for (const deadline = Date.now() + readyWithinMs; ; await delay(10)) {
        if (await isReady(endpoint)) return;
        const isOver = started.exitCode !== null || started.signalCode !== null;
        if (isOver || Date.now() > deadline) throw new Error(`mecha serve is not ready:\n${output}`);
      }
    },
    kill,
    async [Symbol.asyncDispose]() {
      await kill();
      if (folder === undefined) rmSync(home, { recursive: true, force: true });
    },
  };
  await served.start();
  return served;
}

async function isReady(endpoint: string): Promise<boolean> {
  try {
    return (await fetch(`${endpoint}/readyz`)).ok;
  } catch {
    return false;
  }
}
