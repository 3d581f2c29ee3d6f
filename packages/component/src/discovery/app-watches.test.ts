import { expect, onTestFinished, test, vi } from "vitest";
import { createManualClock } from "../manual-clock.js";
import { AppWatches, type FoundApp } from "./app-watches.js";
import type { AppCall, Instance } from "./interface.js";

const instance = (id: string, weight = 100): Instance => {
  return { id, app: "orders", address: "10.0.0.1:1", version: "", zone: "", weight };
};
const patience = { timeout: 10_000, interval: 1 };

/** Watches over a server that the test plays: it says what there is, and keeps what was asked. */
function start() {
  const clock = createManualClock();
  const apps = new Map<string, FoundApp>();
  const asked: string[][] = [];
  const failures: unknown[] = [];
  const server = { away: false, takesMs: 0 };
  const watches = new AppWatches({
    clock,
    async find(calls: readonly AppCall[]) {
      asked.push(calls.map(({ app }) => app));
      if (server.away) throw new Error("away");
      if (server.takesMs > 0) await new Promise<void>((resolve) => clock.after(server.takesMs, resolve));
      return calls.map(({ app }) => apps.get(app) ?? { instances: undefined, endsInMs: undefined });
    },
    onFailure: (error) => failures.push(error),
  });
  onTestFinished(() => watches.close());
  /** Lets what is due happen, and what follows from it. */
  const pass = async (ms: number) => {
    clock.advance(ms);
    await new Promise(setImmediate);
  };
  const set = (app: string, ids: readonly (string | Instance)[], endsInMs?: number) =>
    apps.set(app, { instances: ids.map((id) => (typeof id === "string" ? instance(id) : id)), endsInMs });
  function follow(app: string) {
    const stop = new AbortController();
    onTestFinished(() => stop.abort());
    const told: (string | undefined)[] = [];
    const ended = (async () => {
      for await (const found of watches.watch({ namespace: "default", app, signal: stop.signal })) {
        told.push(found?.map(({ id, weight }) => `${id}:${weight}`).join());
      }
    })();
    ended.catch(() => {});
    return { told, ended, stop: () => stop.abort() };
  }
  return { clock, apps, asked, failures, server, watches, pass, set, follow };
}

test("one question looks up what several watches need, and each app once", async () => {
  const { asked, follow, pass, set, watches } = start();
  set("orders", ["a"]);
  const [first, second, other] = [follow("orders"), follow("orders"), follow("billing")];
  await pass(0);
  expect([first.told, second.told, other.told]).toEqual([["a:100"], ["a:100"], [undefined]]);
  expect(asked).toEqual([["orders", "billing"]]);
  // A change of one app concerns its watches alone; several at once are one look.
  set("orders", ["a", "b"]);
  for (let round = 0; round < 10; round++) watches.changed({ namespace: "default", app: "orders" });
  watches.changed({ namespace: "elsewhere", app: "billing" });
  await pass(20);
  expect([first.told, second.told]).toEqual([
    ["a:100", "a:100,b:100"],
    ["a:100", "a:100,b:100"],
  ]);
  expect(asked.slice(1)).toEqual([["orders"]]);
});

test("nothing is asked until a lease ends, or until it is time for a look in any case", async () => {
  const { asked, clock, follow, pass, set } = start();
  set("orders", ["a"], 10_000);
  const orders = follow("orders");
  follow("nobody");
  await pass(0);
  expect(asked.length).toBe(1);
  await pass(9_999);
  expect(asked.length).toBe(1);
  set("orders", [], 3_600_000);
  await pass(1);
  expect(asked.slice(1)).toEqual([["orders"]]);
  expect(orders.told).toEqual(["a:100", ""]);
  await pass(20_000);
  expect(asked.slice(2)).toEqual([["nobody"]]);
  await pass(10_000);
  expect(asked.slice(3)).toEqual([["orders"]]);
  expect(clock.pending).toBe(1);
});

test("what changes while a look is under way is looked at after it, and what does not differ is not told", async () => {
  const { asked, follow, pass, set, watches } = start();
  set("orders", ["a"]);
  const orders = follow("orders");
  await pass(0);
  watches.changed();
  await pass(20);
  expect(asked.length).toBe(2);
  expect(orders.told).toEqual(["a:100"]);
  set("orders", [instance("a", 5)]);
  watches.changed();
  // The look of this change has begun when the next one comes.
  const passing = pass(20);
  set("orders", [instance("a", 7)]);
  watches.changed();
  await passing;
  await pass(20);
  expect(orders.told.at(-1)).toBe("a:7");
});

test("after the server was away those who are missing are kept until they had time to come back", async () => {
  const { failures, follow, pass, server, set, asked } = start();
  set("orders", ["a", "b"], 10_000);
  const orders = follow("orders");
  await pass(0);
  server.away = true;
  await pass(10_000);
  await pass(500);
  await pass(500);
  expect(failures.length).toBe(1);
  expect(asked.length).toBe(4);
  expect(orders.told).toEqual(["a:100,b:100"]);
  // It is back, and has lost everything.
  server.away = false;
  set("orders", []);
  await pass(500);
  expect(orders.told).toEqual(["a:100,b:100"]);
  // One that registers anew is as it says now; one that does not is gone in the end.
  set("orders", [instance("b", 50), "c"]);
  await pass(4_000);
  expect(orders.told).toEqual(["a:100,b:100", "b:50,c:100"]);
});

test("what comes while missing instances are kept is told at once", async () => {
  const { follow, pass, set, watches } = start();
  set("orders", ["a"]);
  const orders = follow("orders");
  await pass(0);
  set("orders", ["b"]);
  watches.missed();
  await pass(0);
  expect(orders.told).toEqual(["a:100", "a:100,b:100"]);
  await pass(4_000);
  expect(orders.told).toEqual(["a:100", "a:100,b:100", "b:100"]);
});

test("a connection that breaks again and again keeps nobody for ever", async () => {
  const { follow, pass, set, watches } = start();
  set("orders", ["a"]);
  const orders = follow("orders");
  await pass(0);
  set("orders", []);
  for (let round = 0; round < 5; round++) {
    watches.missed();
    await pass(0);
    await pass(1_000);
  }
  expect(orders.told).toEqual(["a:100", ""]);
});

test("a look that takes long says that the server hung: those who are missing are kept as well", async () => {
  const { follow, pass, server, set } = start();
  set("orders", ["a"], 10_000);
  const orders = follow("orders");
  await pass(0);
  set("orders", []);
  server.takesMs = 600;
  await pass(10_000);
  server.takesMs = 0;
  await pass(600);
  expect(orders.told).toEqual(["a:100"]);
  await pass(4_000);
  expect(orders.told).toEqual(["a:100", ""]);
});

test("a watch whose first look fails says why; one that ends leaves nothing behind", async () => {
  const { clock, follow, pass, server, set, watches } = start();
  server.away = true;
  const failing = follow("orders");
  await pass(0);
  await expect(failing.ended).rejects.toThrow("away");
  server.away = false;
  set("orders", ["a"]);
  const orders = follow("orders");
  await pass(500);
  expect(orders.told).toEqual(["a:100"]);
  orders.stop();
  await orders.ended;
  await pass(60_000);
  expect(clock.pending).toBe(0);
  const last = follow("orders");
  await vi.waitFor(async () => {
    await pass(1);
    expect(last.told).toEqual(["a:100"]);
  }, patience);
  watches.close();
  await last.ended;
  expect(clock.pending).toBe(0);
});
