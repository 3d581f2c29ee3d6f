import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { createStateClient } from "./index.js";

// A runtime whose process is killed while clients write, and started again on the same SQLite file.

let directory: string;
let child: ChildProcess | undefined;

async function start(): Promise<void> {
  const script = join(import.meta.dirname, "../test/runtime-process.ts");
  const started = spawn(process.execPath, [script, directory], { stdio: ["ignore", "pipe", "inherit"] });
  child = started;
  await Promise.race([
    once(started.stdout, "data"),
    once(started, "exit").then(([code]) => Promise.reject(new Error(`the runtime did not start: exit code ${code}`))),
  ]);
}

async function kill(): Promise<void> {
  if (child === undefined || child.exitCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "mecha-killed-"));
  await start();
});

afterAll(async () => {
  await kill();
  await rm(directory, { recursive: true });
});

it("updates count exactly once, and a watch misses nothing, however often the runtime is killed", {
  timeout: 120_000,
}, async () => {
  await using state = createStateClient({
    endpoint: `unix:${join(directory, "mecha.sock")}`,
    timeoutMs: 60_000,
    retry: { maxAttempts: 1000, maxDelayMs: 200 },
  });
  const stop = new AbortController();
  let updates = 0;
  const counters = Array.from({ length: 8 }, async (_, index) => {
    // Every counter also meets another one on its key: compare-and-set conflicts and lost answers together.
    while (!stop.signal.aborted) {
      await state.update<number>(`count-${index % 4}`, (count = 0) => count + 1);
      updates++;
    }
  });
  const seen = new Map<string, unknown>();
  await using watch = state.watch({ prefix: "count-" });
  const watching = (async () => {
    for await (const change of watch) if (change.type === "item") seen.set(change.item.key, change.item.value);
  })();

  for (let kills = 0; kills < 4; kills++) {
    const before = updates;
    await vi.waitFor(() => expect(updates).toBeGreaterThan(before + 20), { timeout: 30_000, interval: 5 });
    await kill();
    await start();
  }
  stop.abort();
  await Promise.all(counters);

  const counts = await state.getMany<number>([0, 1, 2, 3].map((index) => `count-${index}`));
  expect(counts.reduce((sum, item) => sum + (item?.value ?? 0), 0)).toBe(updates);
  await vi.waitFor(
    () => expect(counts.map((item) => seen.get(item?.key ?? ""))).toEqual(counts.map((item) => item?.value)),
    {
      timeout: 10_000,
    },
  );
  await watch.close();
  await watching;
});
