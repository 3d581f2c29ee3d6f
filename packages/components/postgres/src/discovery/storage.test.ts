import assert from "node:assert/strict";
import type { Discovery, Instance } from "@mecha/component";
import { missing, startPostgres, type TestServer } from "@mecha/test-servers";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { eventually, open, openClient } from "../../test/support.js";

const namespace = "default";
const { signal } = new AbortController();

describe.skipIf(missing("postgres"))("leases in PostgreSQL", { timeout: 60_000 }, () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server[Symbol.asyncDispose]());
  beforeEach(() => run("DROP SCHEMA IF EXISTS mecha CASCADE"));

  /** Runs a statement behind the component's back. */
  async function run(sql: string): Promise<Record<string, unknown>[]> {
    await using client = await openClient(server);
    return (await client.query(sql)).rows;
  }

  async function openHere(): Promise<Discovery> {
    const { component } = await open(server);
    onTestFinished(() => component.close());
    const { discovery } = component.blocks;
    assert(discovery !== undefined);
    return discovery;
  }

  const register = async (discovery: Discovery, app: string, id: string, changed: Partial<Instance> = {}) =>
    discovery.leases?.register({
      namespace,
      instance: { id, app, address: "10.0.0.1:3601", version: "", zone: "", weight: 100, ...changed },
      ttlMs: 60_000,
    });

  /** Makes time pass for rows, by moving them into the past. */
  const age = (interval: string, where = "true") =>
    run(`UPDATE mecha.discovery_instance SET expires = expires - interval '${interval}' WHERE ${where}`);
  const idsLeft = async () => (await run("SELECT id FROM mecha.discovery_instance ORDER BY id")).map(({ id }) => id);

  function follow(discovery: Discovery, app: string) {
    const stop = new AbortController();
    onTestFinished(() => stop.abort());
    const told: (string | undefined)[] = [];
    const done = (async () => {
      for await (const found of discovery.watch({ namespace, app, signal: stop.signal })) {
        told.push(found?.map(({ id }) => id).join());
      }
    })();
    return { told, done, stop: () => stop.abort() };
  }

  const untilListening = (count: number) =>
    eventually("it listens", async () => {
      const listening = "SELECT FROM pg_stat_activity WHERE query LIKE 'LISTEN mecha_discovery%'";
      return (await run(listening)).length === count;
    });

  test("an app is forgotten an hour after its last lease has ended; what is over is removed by the next that registers", async () => {
    const discovery = await openHere();
    for (const id of ["i-1", "i-2", "i-3"]) await register(discovery, "orders", id);
    await register(discovery, "billing", "i-4");
    await age("60 minutes", "app = 'orders'");
    expect(await discovery.resolve({ namespace, app: "orders", signal })).toEqual([]);
    expect(await discovery.list?.({ namespace, signal })).toEqual(["billing", "orders"]);
    await register(discovery, "billing", "i-5");
    // One row is enough to know the app by.
    await eventually("the others are removed", async () => String(await idsLeft()) === "i-3,i-4,i-5");
    await age("2 minutes", "app = 'orders'");
    expect(await discovery.resolve({ namespace, app: "orders", signal })).toBeUndefined();
    expect(await discovery.list?.({ namespace, signal })).toEqual(["billing"]);
    await register(discovery, "billing", "i-6");
    await eventually("it is forgotten", async () => String(await idsLeft()) === "i-4,i-5,i-6");
  });

  test("an app that starts again and again leaves one row, not one for each start", async () => {
    const discovery = await openHere();
    for (let start = 10; start < 60; start++) {
      await register(discovery, "orders", `i-${start}`);
      await discovery.leases?.deregister({ namespace, app: "orders", id: `i-${start}` });
    }
    await register(discovery, "orders", "i-60");
    await eventually("the rows are removed", async () => String(await idsLeft()) === "i-60");
  });

  test("hundreds that register anew at once, because their leases have ended, do not get in each other's way", async () => {
    const some = [await openHere(), await openHere(), await openHere()];
    const ids = Array.from({ length: 300 }, (_, index) => `i-${100 + index}`);
    for (let round = 0; round < 3; round++) {
      await Promise.all(ids.map((id, index) => register(some[index % 3] as Discovery, "orders", id)));
      const found = await some[0]?.resolve({ namespace, app: "orders", signal });
      expect(found?.map(({ id }) => id)).toEqual(ids);
      await age("5 minutes");
    }
  });

  test("a watch whose connection is cut is told what happened meanwhile, and of those who are gone a little later", async () => {
    const [ours, theirs] = [await openHere(), await openHere()];
    await register(theirs, "orders", "i-1");
    await register(theirs, "orders", "i-2");
    const watch = follow(ours, "orders");
    await eventually("it is told", () => watch.told.at(-1) === "i-1,i-2");
    await untilListening(1);
    // In one transaction with what ends its connection: no notice can reach it.
    await run(`BEGIN; UPDATE mecha.discovery_instance SET expires = now() WHERE id = 'i-1';
      INSERT INTO mecha.discovery_instance SELECT namespace, app, 'i-3', address, version, zone, weight, now() + interval '1 minute'
        FROM mecha.discovery_instance WHERE id = 'i-2';
      SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN mecha_discovery%'; COMMIT`);
    await eventually("who came is told", () => watch.told.at(-1) === "i-1,i-2,i-3");
    await eventually("who is gone goes", () => watch.told.at(-1) === "i-2,i-3");
    watch.stop();
    await watch.done;
  });

  test("a hundred watches of apps where nothing happens cost the server nothing", async () => {
    const discovery = await openHere();
    await register(discovery, "down", "i-1");
    await discovery.leases?.deregister({ namespace, app: "down", id: "i-1" });
    const idle = ["down", ...Array.from({ length: 99 }, (_, index) => `nobody-${index}`)].map((app) =>
      follow(discovery, app),
    );
    const busy = follow(discovery, "orders");
    for (const { told } of [...idle, busy]) await eventually("each is told", () => told.length > 0);
    const scans = async () => {
      const [row] = await run(
        "SELECT idx_scan AS scans FROM pg_stat_user_indexes WHERE schemaname = 'mecha' AND indexrelname = 'discovery_instance_pkey'",
      );
      return Number(row?.scans);
    };
    await untilListening(1);
    const before = await scans();
    for (let round = 0; round < 100; round++) {
      await register(discovery, "orders", "i-1", { weight: round });
      await eventually("the change is told", () => busy.told.length > round + 1);
    }
    // PostgreSQL publishes its counters once a second.
    await eventually("the looks are counted", async () => (await scans()) > before + 100);
    // A look, an upsert and a sweep for each change; a look at every watch would be 10,000 scans more.
    expect((await scans()) - before).toBeLessThan(2_000);
    for (const { told } of idle) expect(told.length).toBe(1);
    for (const watch of [...idle, busy]) {
      watch.stop();
      await watch.done;
    }
  });

  test("says where it looked, without what is secret", async () => {
    const words = (await openHere()).describe({ namespace, app: "orders" });
    expect(words).toBe('in namespace "default" of the PostgreSQL database that its runtimes share');
  });
});
