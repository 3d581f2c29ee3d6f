import { strict as assert } from "node:assert";
import { appMemoryMs, type Discovery, type Instance } from "@mecha/component";
import { startComponent } from "@mecha/component/conformance";
import { missing, startRedis, type TestServer } from "@mecha/test-servers";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { command, eventually } from "../../test/kit.ts";
import { redis } from "../index.js";

const namespace = "default";
const tag = "{mecha:discovery:default}";
const { signal } = new AbortController();
const ttlMs = 60_000;

describe.skipIf(missing("redis"))("leases in Redis", { timeout: 30_000 }, () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startRedis({ appendfsync: "off" });
  });
  afterAll(() => server[Symbol.asyncDispose]());
  beforeEach(() => run("FLUSHALL"));

  /** Sends a command behind the component's back. */
  const run = async (...args: string[]) => (await command(server.url, args))[0];

  async function open(config: object = {}): Promise<Discovery> {
    const component = await startComponent(redis, { url: server.url, ...config });
    onTestFinished(() => component.close());
    const { discovery } = component.blocks;
    assert(discovery, "the component serves discovery");
    return discovery;
  }

  const register = async (discovery: Discovery, app: string, id: string, changed: Partial<Instance> = {}) =>
    discovery.leases?.register({
      namespace,
      instance: { id, app, address: "10.0.0.1:3601", version: "", zone: "", weight: 100, ...changed },
      ttlMs,
    });
  const deregister = async (discovery: Discovery, app: string, id: string) =>
    discovery.leases?.deregister({ namespace, app, id });

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

  test("all of an app is forgotten an hour after its last lease has ended, by Redis itself", async () => {
    const discovery = await open();
    await register(discovery, "orders", "i-1");
    await register(discovery, "orders", "i-2");
    await deregister(discovery, "orders", "i-1");
    const forgotten = async (hasInstances = true) => {
      const [[now], score, ...expiries] = (await command(
        server.url,
        ["TIME"],
        ["ZSCORE", `${tag}:apps`, "orders"],
        ["PEXPIRETIME", `${tag}:leases:orders`],
        ["PEXPIRETIME", `${tag}:apps`],
        ["PEXPIRETIME", `${tag}:instances:orders`],
      )) as [[string], string, number, number, number];
      // A hash without fields is not there at all.
      expect(expiries).toEqual([Number(score), Number(score), hasInstances ? Number(score) : -2]);
      return Number(score) - appMemoryMs - Number(now) * 1_000;
    };
    const close = 10_000;
    expect(Math.abs((await forgotten()) - ttlMs)).toBeLessThan(close);
    assert.equal(await discovery.leases?.renew({ namespace, app: "orders", id: "i-2", ttlMs: 2 * ttlMs }), true);
    expect(Math.abs((await forgotten()) - 2 * ttlMs)).toBeLessThan(close);
    await deregister(discovery, "orders", "i-2");
    expect(Math.abs(await forgotten(false))).toBeLessThan(close);
    expect(await discovery.resolve({ namespace, app: "orders", signal })).toEqual([]);
    // Its time has come.
    await run("PEXPIRE", `${tag}:leases:orders`, "1");
    await run("ZADD", `${tag}:apps`, "1", "orders");
    await eventually("it is unknown", async () => {
      return (await discovery.resolve({ namespace, app: "orders", signal })) === undefined;
    });
    expect(await discovery.list?.({ namespace, signal })).toEqual([]);
    await register(discovery, "billing", "i-3");
    expect(await run("ZRANGE", `${tag}:apps`, "0", "-1")).toEqual(["billing"]);
  });

  test("an app that starts again and again leaves one lease, not one for each start", async () => {
    const discovery = await open();
    for (let start = 0; start < 50; start++) {
      await register(discovery, "orders", `i-${start}`);
      await deregister(discovery, "orders", `i-${start}`);
    }
    expect(await run("ZCARD", `${tag}:leases:orders`)).toBe(1);
    expect(await run("HLEN", `${tag}:instances:orders`)).toBe(0);
    // Killed, not drained: its lease ends by itself.
    await register(discovery, "orders", "i-50");
    await run("ZADD", `${tag}:leases:orders`, "1", "i-50");
    await register(discovery, "orders", "i-51");
    expect(await run("HKEYS", `${tag}:instances:orders`)).toEqual(["i-51"]);
  });

  test("a watch whose connections are cut is told what happened meanwhile, and of those who are gone a little later", async () => {
    const [ours, theirs] = [await open(), await open()];
    for (const id of ["i-1", "i-2"]) await register(theirs, "orders", id);
    const watch = follow(ours, "orders");
    await eventually("it is told", () => watch.told.at(-1) === "i-1,i-2");
    const listening = async () => String(await run("PUBSUB", "SHARDCHANNELS")) === `${tag}:changed`;
    await eventually("it listens", listening);
    // Nobody says anything of these.
    await command(
      server.url,
      ["CLIENT", "KILL", "TYPE", "pubsub"],
      ["ZADD", `${tag}:leases:orders`, "1", "i-1"],
      ["ZADD", `${tag}:leases:orders`, String(Date.now() + ttlMs), "i-3"],
      ["HSET", `${tag}:instances:orders`, "i-3", '{"address":"10.0.0.3:1","version":"","zone":"","weight":1}'],
    );
    await eventually("who came is told", () => watch.told.at(-1) === "i-1,i-2,i-3");
    await eventually("who is gone goes", () => watch.told.at(-1) === "i-2,i-3");
    watch.stop();
    await watch.done;
  });

  test("a hundred watches of apps where nothing happens cost the server nothing", async () => {
    const discovery = await open();
    await register(discovery, "down", "i-1");
    await deregister(discovery, "down", "i-1");
    const idle = ["down", ...Array.from({ length: 99 }, (_, index) => `nobody-${index}`)].map((app) =>
      follow(discovery, app),
    );
    const busy = follow(discovery, "orders");
    for (const { told } of [...idle, busy]) await eventually("each is told", () => told.length > 0);
    await eventually("it listens", async () => String(await run("PUBSUB", "SHARDCHANNELS")) === `${tag}:changed`);
    const reads = async () => {
      const text = String(await run("INFO", "commandstats"));
      return Number(/cmdstat_zrange:calls=(\d+)/.exec(text)?.[1] ?? 0);
    };
    const before = await reads();
    for (let round = 0; round < 100; round++) {
      await register(discovery, "orders", "i-1", { weight: round });
      await eventually("the change is told", () => busy.told.length > round + 1);
    }
    // Two for a registration and one or two for a look; a look at every watch would be 10,000 and more.
    expect((await reads()) - before).toBeLessThan(1_000);
    for (const { told } of idle) expect(told.length).toBe(1);
    for (const watch of [...idle, busy]) {
      watch.stop();
      await watch.done;
    }
  });

  test("installations with prefixes of their own do not see each other; says where it looked, without what is secret", async () => {
    const [ours, theirs] = [await open(), await open({ keyPrefix: "other" })];
    await register(ours, "orders", "i-1");
    expect(await theirs.resolve({ namespace, app: "orders", signal })).toBeUndefined();
    expect(ours.describe({ namespace, app: "orders" })).toBe(
      'in namespace "default" of the Redis that its runtimes share',
    );
  });
});
