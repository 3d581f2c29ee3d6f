import { createPubSubClient, type EventStream, type PubSubClient, type ReceivedEvent } from "@mecha/pubsub";
import { describe, expect, onTestFinished, test } from "vitest";
import { type Backend, backends, isMissing } from "../src/backends.ts";
import { publishBacklog } from "../src/backlog.ts";
import { openGroup } from "../src/groups.ts";
import { type ServeOptions, serveMecha } from "../src/mecha.ts";
import { residentMemoryMiB } from "../src/memory.ts";

const topic = "orders";
/** Longer than any of these tests: what comes again before did not wait for a lease. */
const long = { ackTimeout: { seconds: 600n } };

describe.each(backends.filter(({ blocks }) => blocks.includes("pubsub")))("$name", (backend) => {
  describe.skipIf(isMissing(backend))("a consumer", () => {
    test("that stops acking holds at most its credit, and slows no other group", async () => {
      const { endpoint, pubsub } = await start(backend);
      await openGroup(endpoint, topic, "stuck", long);
      await openGroup(endpoint, topic, "well", long);
      const held: ReceivedEvent[] = [];
      await using stuck = pubsub.stream(topic, { group: "stuck", maxInFlight: 10 });
      const holding = collect(stuck, held);
      await publishBacklog(pubsub, topic, 0, 2_000);
      const seen = new Set<number>();
      await using _ = pubsub.subscribe<Uint8Array>(topic, ({ data }) => void seen.add(numberOf(data)), {
        group: "well",
      });
      await until(() => seen.size === 2_000, "the other group has all");
      expect(held).toHaveLength(10);
      // Credit comes back with each settlement, and not before.
      for (const event of held.slice(0, 4)) expect(await event.ack()).toBe(true);
      await until(() => held.length >= 14, "as many again come");
      expect(held).toHaveLength(14);
      await stuck.close();
      await holding;
    });

    test("that goes hands back at once what it did not settle, at no cost of an attempt", async () => {
      const { endpoint, pubsub } = await start(backend);
      await openGroup(endpoint, topic, "mail", long);
      const held: ReceivedEvent[] = [];
      const going = pubsub.stream(topic, { group: "mail" });
      const holding = collect(going, held);
      await publishBacklog(pubsub, topic, 0, 20);
      await until(() => held.length === 20, "it holds all");
      const taken: ReceivedEvent[] = [];
      await using _ = pubsub.subscribe(topic, (event) => void taken.push(event), { group: "mail" });
      await going.close();
      await holding;
      await until(() => new Set(taken.map(({ id }) => id)).size === 20, "another consumer has all");
      expect(new Set(taken.map(({ attempt }) => attempt))).toEqual(new Set([1]));
      expect(await Array.fromAsync(pubsub.deadLetters(topic, { group: "mail" }))).toEqual([]);
    });

    test("gets a poisonous event until its attempts are used up, while its neighbours proceed", async () => {
      const { endpoint, pubsub } = await start(backend);
      const backoff = { nanos: 10_000_000 };
      const retry = { maxAttempts: 3, minBackoff: backoff, maxBackoff: backoff };
      const ordered = backend.ordersBy !== "nothing";
      await openGroup(endpoint, topic, "mail", { ordered, retry });
      const seen: string[] = [];
      const behind = () => [...new Set(seen)].filter((name) => name.startsWith("a"));
      let attempts = 0;
      await using _ = pubsub.subscribe<string>(
        topic,
        async ({ data }) => {
          if (data !== "a0") return void seen.push(data);
          attempts += 1;
          // While it is tried for the last time others go on: all of them, or in a log at least those of other partitions.
          const neighbours = () => new Set(seen).size;
          if (attempts === 3)
            await until(() => neighbours() >= (backend.ordersBy === "partition" ? 20 : 40), "neighbours proceed");
          if (ordered) expect(behind(), "what is behind it waits").toEqual([]);
          throw new Error("poison");
        },
        { group: "mail", concurrency: 64 },
      );
      const names = ["a0", "a1", "a2", ...Array.from({ length: 40 }, (_, index) => `n${index}`)];
      const keyOf = (name: string) => (name.startsWith("a") ? "a" : name);
      await pubsub.publishMany(names.map((name) => ({ topic, data: name, orderingKey: keyOf(name) })));
      await until(() => new Set(seen).size === names.length - 1, "all others are handled");
      expect(behind()).toEqual(ordered ? ["a1", "a2"] : expect.arrayContaining(["a1", "a2"]));
      const deadLetters = () => Array.fromAsync(pubsub.deadLetters<string>(topic, { group: "mail" }));
      // Its last attempt may end after all others are handled.
      await expect
        .poll(deadLetters, { timeout: 30_000 })
        .toMatchObject([{ data: "a0", attempts: 3, lastError: "poison" }]);
    });
  });
});

test("a runtime that stops hands back what a stuck consumer holds, at no cost of an attempt", async () => {
  const { endpoint, pubsub, mecha } = await start(find("sqlite"));
  const other = await start(find("sqlite"), { folder: mecha.folder });
  await openGroup(endpoint, topic, "mail", long);
  const held: ReceivedEvent[] = [];
  await using stuck = pubsub.stream(topic, { group: "mail", reconnectTimeoutMs: 0 });
  const holding = collect(stuck, held);
  await publishBacklog(pubsub, topic, 0, 20);
  await until(() => held.length === 20, "it holds all");
  const taken: ReceivedEvent[] = [];
  await using _ = other.pubsub.subscribe(topic, (event) => void taken.push(event), { group: "mail" });
  // It waits for 30 s, for the consumer may yet finish.
  await mecha.kill("SIGTERM");
  await holding;
  await until(() => new Set(taken.map(({ id }) => id)).size === 20, "the other runtime's consumer has all");
  expect(new Set(taken.map(({ attempt }) => attempt))).toEqual(new Set([1]));
  expect(await Array.fromAsync(other.pubsub.deadLetters(topic, { group: "mail" }))).toEqual([]);
}, 120_000);

describe.each(["sqlite", "postgres", "redis"].map(find))("$name", (backend) => {
  test.skipIf(isMissing(backend))(
    "the runtime's memory is flat while 50,000 events wait, and they all arrive",
    async () => {
      const { endpoint, pubsub, mecha } = await start(backend);
      await openGroup(endpoint, topic, "slow", long);
      const held: ReceivedEvent[] = [];
      const stuck = pubsub.stream(topic, { group: "slow", maxInFlight: 10 });
      const holding = collect(stuck, held);
      await publishBacklog(pubsub, topic, 0, 10_000, 4096);
      const before = residentMemoryMiB(mecha.pid);
      await publishBacklog(pubsub, topic, 10_000, 50_000, 4096);
      // Held in memory, the 40,000 of 4 KiB would be 160 MiB; garbage that is not collected yet is some 30.
      expect(residentMemoryMiB(mecha.pid)).toBeLessThan(before + 80);
      expect(held).toHaveLength(10);
      await stuck.close();
      await holding;
      const seen = new Set<number>();
      await using _ = pubsub.subscribe<Uint8Array>(topic, ({ data }) => void seen.add(numberOf(data)), {
        group: "slow",
        concurrency: 64,
      });
      await until(() => seen.size === 50_000, "all are handled", 150_000);
    },
    240_000,
  );
});

async function start(backend: Backend, options: Pick<ServeOptions, "folder"> = {}) {
  const stack = new AsyncDisposableStack();
  onTestFinished(() => stack.disposeAsync());
  const resources = backend.resources(stack.use(await backend.startServer?.()));
  const mecha = stack.use(await serveMecha(resources === undefined ? options : { ...options, resources }));
  const { endpoint } = mecha;
  const pubsub: PubSubClient = stack.use(createPubSubClient({ endpoint }));
  return { mecha, endpoint, pubsub };
}

function find(name: string): Backend {
  const backend = backends.find((one) => one.name === name);
  if (backend === undefined) throw new Error(`there is no backend ${name}`);
  return backend;
}

/** Takes events and settles none, until the stream ends, however. */
async function collect(stream: EventStream<ReceivedEvent>, into: ReceivedEvent[]): Promise<void> {
  try {
    for await (const event of stream) into.push(event);
  } catch {
    // The runtime went.
  }
}

const numberOf = (data: Uint8Array): number => Buffer.from(data).readUInt32LE();

async function until(holds: () => boolean, what: string, withinMs = 45_000): Promise<void> {
  for (const deadline = performance.now() + withinMs; !holds(); ) {
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
