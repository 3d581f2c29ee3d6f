import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Discovery } from "@mecha/component";
import { createManualClock, discoveryConformance, startComponent } from "@mecha/component/conformance";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { temporaryFolder } from "../../test/temporary-folder.ts";
import { sqlite } from "../index.js";

const clock = createManualClock();
const dataDir = temporaryFolder();
const cases = discoveryConformance({
  features: ["REGISTER", "LIST"],
  open: () => startComponent(sqlite, {}, { clock, dataDir }),
  advance: clock.advance,
});
describe("conformance", () => {
  for (const { name, run } of cases) test(name, run);
});

const call = { namespace: "default", app: "orders" };

async function open(options: Parameters<typeof startComponent>[2]): Promise<Discovery> {
  const component = await startComponent(sqlite, {}, options);
  onTestFinished(() => component.close());
  const { discovery } = component.blocks;
  if (discovery === undefined) throw new Error("the component serves no discovery");
  return discovery;
}

test("a process that was killed disappears within its lease, and one that comes is told of at once", {
  timeout: 60_000,
}, async () => {
  const dataDir = temporaryFolder();
  const discovery = await open({ dataDir });
  const stop = new AbortController();
  onTestFinished(() => stop.abort());
  const seen: { at: number; count: number }[] = [];
  const reading = (async () => {
    for await (const found of discovery.watch({ ...call, signal: stop.signal })) {
      seen.push({ at: Date.now(), count: found?.length ?? 0 });
    }
  })();
  const ttlMs = 1_000;
  const path = fileURLToPath(new URL("../../test/discovery-process.ts", import.meta.url));
  const child: ChildProcess = fork(path, [dataDir, String(ttlMs)], { execArgv: [] });
  const [registered] = (await once(child, "message")) as [{ at: number }];
  await vi.waitFor(() => expect(seen.at(-1)?.count).toBe(1), { timeout: 10_000, interval: 5 });
  expect((seen.at(-1)?.at ?? 0) - registered.at).toBeLessThan(1_000);
  // It lives on while it renews.
  await vi.waitFor(() => expect(Date.now() - registered.at).toBeGreaterThan(ttlMs * 2), { timeout: 10_000 });
  expect(seen.at(-1)?.count).toBe(1);
  child.kill("SIGKILL");
  const killed = Date.now();
  await vi.waitFor(() => expect(seen.at(-1)?.count).toBe(0), { timeout: 20_000, interval: 5 });
  // The lease, and what a busy machine takes to see its end.
  expect((seen.at(-1)?.at ?? 0) - killed).toBeLessThan(ttlMs + 1_000);
  stop.abort();
  await reading;
});

test("an app is forgotten an hour after its last instance has gone, and so are its rows", async () => {
  const clock = createManualClock();
  const discovery = await open({ dataDir: temporaryFolder(), clock });
  const signal = new AbortController().signal;
  const register = (id: string, app: string) =>
    discovery.leases?.register({
      namespace: "default",
      instance: { id, app, address: "127.0.0.1:1", version: "", zone: "", weight: 100 },
      ttlMs: 10_000,
    });
  await register("i-1", "orders");
  clock.advance(59 * 60_000);
  expect(await discovery.resolve({ ...call, signal })).toEqual([]);
  clock.advance(2 * 60_000);
  expect(await discovery.resolve({ ...call, signal })).toBeUndefined();
  expect(await discovery.list?.({ namespace: "default", signal })).toEqual([]);
  await register("i-2", "billing");
  expect(await discovery.list?.({ namespace: "default", signal })).toEqual(["billing"]);
});

test("says where it looked, without a path of the host", async () => {
  const discovery = await open({ dataDir: temporaryFolder() });
  expect(discovery.describe(call)).toBe('in namespace "default" of the SQLite database that runtimes of a host share');
});
