import { type ComponentContext, ComponentError } from "@mecha/component";
import { startComponent } from "@mecha/component/conformance";
import { missing, startRedis, type TestServer } from "@mecha/test-servers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ack, entryOf, GroupKit, nameOf, pubsubOf, take, takeNow } from "../../test/events.ts";
import { command, eventually } from "../../test/kit.ts";
import { resolveConnectOptions } from "../config.js";
import { redis } from "../index.js";
import { Redis } from "../redis.js";
import { Groups } from "./groups.js";
import { sweepTopic } from "./sweeper.js";
import { TopicRegistry } from "./topic-registry.js";

const logger: ComponentContext["logger"] = { debug() {}, info() {}, warn() {}, error() {} };

describe.skipIf(missing("redis"))("what is stored of events", () => {
  let server: TestServer;
  let prefixes = 0;
  beforeAll(async () => {
    server = await startRedis({ appendfsync: "off" });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  /** A component with keys of its own. */
  async function open() {
    const keyPrefix = `storage-${++prefixes}`;
    const component = await startComponent(redis, { url: server.url, keyPrefix });
    const tag = `{${keyPrefix}:default:t}`;
    return { component, keyPrefix, tag, pubsub: pubsubOf(component) };
  }

  /** Forgets what is older than so many ms, as the sweeper does with what is older than hours. */
  async function sweep(keyPrefix: string, retentionMs: number): Promise<void> {
    const connected = await Redis.connect(resolveConnectOptions(redis.config.parse({ url: server.url })), logger);
    const registry = new TopicRegistry(connected, keyPrefix);
    const context = { redis: connected, keyPrefix, groups: new Groups(connected, keyPrefix, registry), registry };
    const { signal } = new AbortController();
    for await (const topic of registry.all()) await sweepTopic({ ...context, logger, retentionMs }, topic, signal);
    await connected.close();
  }

  const countOf = async (key: string) => Number((await command(server.url, ["XLEN", key]))[0]);

  test("events are kept for their time, and as long as a group has not looked at them", async () => {
    const { component, keyPrefix, tag, pubsub } = await open();
    const done = await new GroupKit(pubsub, "t", "app/done").open();
    const idle = await new GroupKit(pubsub, "t", "app/idle").open();
    await done.names(...Array.from({ length: 500 }, (_, index) => `event ${index} ${"x".repeat(500)}`));
    const source = done.consume();
    for (let count = 0; count < 500; ) {
      const leases = await take(source);
      count += leases.length;
      await ack(source, leases);
    }
    await sweep(keyPrefix, 3_600_000);
    expect(await countOf(`${tag}:log`)).toBe(500);
    await sweep(keyPrefix, -60_000);
    expect(await countOf(`${tag}:log`), "one group has looked at nothing").toBe(500);
    const waiting = idle.consume();
    const seen = new Set<string>();
    while (seen.size < 500) {
      const leases = await take(waiting);
      expect(leases.length).toBeGreaterThan(0);
      for (const lease of leases) seen.add(nameOf(lease));
      await ack(waiting, leases);
    }
    await sweep(keyPrefix, -60_000);
    expect(await countOf(`${tag}:log`)).toBe(0);
    // Where they stand is not lost with what they have seen.
    await done.names("next");
    expect((await take(waiting)).map(nameOf)).toEqual(["next"]);
    expect(await pubsub.backlog(done.call)).toBe(1);
    await component.close();
  });

  test("what a group holds for long goes on without the log: leased, delayed, retried, held back, given up", async () => {
    const { component, keyPrefix, tag, pubsub } = await open();
    const group = await new GroupKit(pubsub).open({ ordered: true });
    const keyed = (name: string) => entryOf("t", name, { orderingKey: name[0] ?? "" });
    await group.publish(...["leased", "retried", "dead", "again", "again 2"].map(keyed));
    await group.publish(entryOf("t", "delayed", { delayMs: 300 }));
    const source = group.consume();
    const leases = await take(source);
    const byName = new Map(leases.map((lease) => [nameOf(lease), lease.handle] as const));
    expect(new Set(byName.keys())).toEqual(new Set(["leased", "retried", "dead", "again"]));
    const handleOf = (name: string) => byName.get(name) ?? "";
    const settled = await source.settle([
      { type: "retry", handle: handleOf("retried"), afterMs: 300, error: "later" },
      { type: "dead", handle: handleOf("dead"), error: "never" },
    ]);
    expect(settled).toEqual([true, true]);
    await sweep(keyPrefix, -60_000); // All of it is older than a minute from now.
    expect(await countOf(`${tag}:log`)).toBe(0);
    expect(await pubsub.backlog(group.call)).toBe(5);
    // The lease of before counts, and frees what is behind it.
    expect(await source.settle([{ type: "ack", handle: handleOf("again") }])).toEqual([true]);
    expect(await source.extend([handleOf("leased")], 30_000)).toEqual([true]);
    expect(await source.settle([{ type: "release", handle: handleOf("leased") }])).toEqual([true]);
    const rest = new Map<string, number>();
    while (rest.size < 4) {
      const more = await take(source);
      expect(more.length).toBeGreaterThan(0);
      for (const lease of more) rest.set(nameOf(lease), lease.attempt);
      expect(await ack(source, more)).toEqual(more.map(() => true));
    }
    expect(rest).toEqual(
      new Map(
        [
          ["again 2", 1],
          ["leased", 1],
          ["delayed", 1],
          ["retried", 2],
        ].map(([name, n]) => [name, n] as [string, number]),
      ),
    );
    expect(await pubsub.requeueDeadLetters({ ...group.call, ids: undefined })).toBe(1);
    expect((await take(source)).map(nameOf)).toEqual(["dead"]);
    await component.close();
  });

  test("a settled group leaves nothing behind but where it stands", async () => {
    const { component, keyPrefix, tag, pubsub } = await open();
    const group = await new GroupKit(pubsub).open({ ordered: true });
    await group.publish(
      ...Array.from({ length: 50 }, (_, index) => entryOf("t", String(index), { orderingKey: `${index % 7}` })),
    );
    const source = group.consume();
    for (let count = 0; count < 50; ) {
      const leases = await take(source);
      count += leases.length;
      await ack(source, leases);
    }
    await source.close();
    await sweep(keyPrefix, -60_000);
    const [keys] = (await command(server.url, ["KEYS", `${tag}:*`])) as [string[]];
    const names = new Set(keys.map((key) => key.slice(tag.length + 1).replace(/[01]$/, "S")));
    expect(names).toEqual(new Set(["groups", "log", "seen:S", "topic"]));
    const [consumers] = await command(server.url, ["XINFO", "GROUPS", `${tag}:log`]);
    expect(JSON.stringify(consumers)).not.toContain('"consumers":2');
    await component.close();
  });

  test("many dead letters are requeued and dropped in bounded steps", async () => {
    const { component, pubsub } = await open();
    const group = await new GroupKit(pubsub).open();
    await group.names(...Array.from({ length: 300 }, (_, index) => `event ${index}`));
    const source = group.consume();
    const bury = async () => {
      for (let leases = await takeNow(source); leases.length > 0; leases = await takeNow(source)) {
        await source.settle(leases.map(({ handle }) => ({ type: "dead", handle, error: "" })));
      }
    };
    await bury();
    expect(await pubsub.requeueDeadLetters({ ...group.call, ids: undefined })).toBe(300);
    await bury();
    expect(await pubsub.dropDeadLetters({ ...group.call, ids: undefined })).toBe(300);
    expect(await pubsub.backlog(group.call)).toBe(0);
    await component.close();
  });

  test("a handle is taken for what it is only with its token", async () => {
    const { component, pubsub } = await open();
    const group = await new GroupKit(pubsub).open();
    await group.names("guarded");
    const source = group.consume();
    const [lease] = await take(source);
    const [id = "", token = ""] = lease?.handle.split(".") ?? [];
    const forged = [
      `${id}.${"A".repeat(token.length)}`,
      `${id}.`,
      id,
      `${id}.${token}x`,
      `9999999999999-1.${token}`,
      `${id}.-`,
    ];
    expect(await source.settle(forged.map((handle) => ({ type: "ack", handle })))).toEqual(forged.map(() => false));
    expect(await source.extend([...forged, lease?.handle ?? ""], 60_000)).toEqual([...forged.map(() => false), true]);
    await component.close();
  });

  test("a component that closes hands back what its consumers hold", async () => {
    const { component, keyPrefix, pubsub } = await open();
    const group = await new GroupKit(pubsub).open();
    await group.names("held");
    expect(await take(group.consume())).toHaveLength(1);
    await component.close();
    const second = await startComponent(redis, { url: server.url, keyPrefix });
    const [again] = await take(pubsubOf(second).consume(group.call));
    expect(again?.attempt).toBe(1);
    await second.close();
  });

  test("those who wait for a group that the server has lost go on with a new one", async () => {
    await using volatile = await startRedis({ appendfsync: "off" });
    const other = await startComponent(redis, { url: volatile.url });
    const group = await new GroupKit(pubsubOf(other)).open({ maxAttempts: 7 });
    const source = group.consume();
    const received: string[] = [];
    const stop = new AbortController();
    const consuming = (async () => {
      while (!stop.signal.aborted) {
        const call = { maxItems: 10, maxBytes: 1e6, leaseMs: 30_000, signal: stop.signal };
        const leases = await source.receive(call).catch((error: unknown) => {
          if (!(error instanceof ComponentError)) throw error;
          return [];
        });
        received.push(...leases.map(nameOf));
      }
    })();
    await group.names("before");
    await eventually("it comes", () => received.includes("before"));
    await volatile.kill();
    await volatile.start();
    await eventually(
      "the group is there again",
      async () => (await pubsubOf(other).settingsOf(group.call))?.maxAttempts === 7,
      20_000,
    );
    await group.names("after");
    await eventually("events come again", () => received.includes("after"));
    // A group that was deleted is not made again by those who still wait.
    expect(await pubsubOf(other).deleteGroup(group.call)).toBe(true);
    await group.names("nobody's");
    expect(await takeNow(source)).toEqual([]);
    expect(await pubsubOf(other).settingsOf(group.call)).toBeUndefined();
    stop.abort();
    await consuming;
    await other.close();
  });

  test("memory full: publishing is refused as a whole, and consuming goes on", async () => {
    await using small = await startRedis({ appendfsync: "off", settings: { maxmemory: "8mb" } });
    const component = await startComponent(redis, { url: small.url });
    const group = await new GroupKit(pubsubOf(component)).open();
    const large = Buffer.alloc(100_000);
    let count = 0;
    const fill = async () => {
      for (; count < 1_000; count++) await group.publish(entryOf("t", large), entryOf("t", large));
    };
    await expect(fill()).rejects.toMatchObject({ reason: "STORAGE_FULL" });
    expect(await pubsubOf(component).backlog(group.call)).toBe(count * 2);
    const source = group.consume();
    const leases = await take(source, 10);
    expect(leases.length).toBeGreaterThan(1);
    expect(await ack(source, leases)).toEqual(leases.map(() => true));
    await component.close();
  });
});
