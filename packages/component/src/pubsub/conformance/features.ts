import assert from "node:assert/strict";
import { pubsubLimits } from "../features.js";
import { type CaseDefinition, type Consumer, entry, text } from "./kit.js";

/** Takes everything that comes, acking each, until `count` events came. */
async function drain(consumer: Consumer, count: number): Promise<string[]> {
  const names: string[] = [];
  while (names.length < count) {
    const leases = await consumer.take(count - names.length);
    assert(leases.length > 0, `${names.length} of ${count} events came`);
    names.push(...leases.map(text));
    await consumer.ack(...leases);
  }
  return names;
}

const ordered: CaseDefinition[] = [
  {
    name: "delivers the events of one key in order, one at a time",
    async run(kit) {
      const session = await kit.open();
      const consumer = await session.consume("t", "app/g", { ordered: true });
      const keys = ["a", "b", "c", "d"];
      await session.publishMany(
        Array.from({ length: 40 }, (_, n) => {
          const orderingKey = keys[n % keys.length] ?? "";
          return entry("t", `${orderingKey}${Math.floor(n / keys.length)}`, { orderingKey });
        }),
      );
      const next = new Map(keys.map((key) => [key, 0]));
      for (let received = 0; received < 40; ) {
        const leases = await consumer.take(16);
        assert(leases.length > 0, `${received} of 40 events came`);
        const inFlight = leases.map(({ orderingKey }) => orderingKey);
        assert.equal(new Set(inFlight).size, inFlight.length, `one at a time for each key: ${inFlight.join(" ")}`);
        for (const lease of leases) {
          const expected = next.get(lease.orderingKey) ?? 0;
          assert.equal(text(lease), `${lease.orderingKey}${expected}`);
          next.set(lease.orderingKey, expected + 1);
        }
        received += leases.length;
        await consumer.ack(...leases);
      }
    },
  },
  {
    name: "keeps the order of each key with several consumers and concurrent publishers",
    async run(kit) {
      const [here, there] = await kit.pair();
      const consumers = [
        await here.consume("t", "app/g", { ordered: true }),
        await there.consume("t", "app/g", { ordered: true }),
      ];
      const each = 30;
      const keys = ["p", "q", "r", "s", "u"];
      const publishing = keys.map(async (orderingKey, index) => {
        for (let n = 0; n < each; n++) {
          await (index % 2 === 0 ? here : there).publish("t", `${orderingKey}:${n}`, { orderingKey });
        }
      });
      const received = new Map<string, number[]>(keys.map((key) => [key, []]));
      const inFlight = new Set<string>();
      let count = 0;
      const done = new AbortController();
      const giveUp = setTimeout(() => done.abort(), 30_000);
      const consuming = consumers.map(async (consumer) => {
        while (!done.signal.aborted) {
          const leases = await consumer.take(4, 200);
          for (const { orderingKey } of leases) {
            assert(!inFlight.has(orderingKey), `two events of key ${orderingKey} are in flight`);
            inFlight.add(orderingKey);
          }
          for (const lease of leases) {
            const [key = "", n] = text(lease).split(":");
            received.get(key)?.push(Number(n));
            inFlight.delete(key);
            await consumer.ack(lease);
          }
          count += leases.length;
          if (count >= keys.length * each) done.abort();
        }
      });
      await Promise.all([...publishing, ...consuming]);
      clearTimeout(giveUp);
      for (const [key, numbers] of received) {
        assert.deepEqual(
          numbers,
          Array.from({ length: each }, (_, n) => n),
          `the events of key ${key}`,
        );
      }
    },
  },
  {
    name: "holds back a key while its event is tried again, and lets others go",
    async run(kit) {
      const session = await kit.open();
      const consumer = await session.consume("t", "app/g", { ordered: true });
      await session.publishMany([
        entry("t", "a1", { orderingKey: "a" }),
        entry("t", "a2", { orderingKey: "a" }),
        entry("t", "free"),
      ]);
      const isKey = kit.harness.holdsBack === "key";
      const first = await consumer.many(isKey ? 2 : 1);
      // A log engine may have the event without a key in another partition, and give it first.
      if (!isKey && first.every((lease) => text(lease) === "free")) first.push(await consumer.one());
      const a1 = first.find((lease) => text(lease) === "a1");
      assert(a1 !== undefined);
      await consumer.settle({ type: "retry", handle: a1.handle, afterMs: 700, error: "" });
      await consumer.ack(...first.filter((lease) => lease !== a1));
      if (isKey) await consumer.nothing("a2 waits for a1");
      await kit.elapse(700);
      const names = await drain(consumer, isKey ? 2 : 3 - (first.length - 1));
      assert(names.indexOf("a1") < names.indexOf("a2"), names.join(" "));
    },
  },
  {
    name: "goes on with a key when its event is given up, and keeps its order when a lease ends",
    async run(kit) {
      const session = await kit.open();
      const consumer = await session.consume("t", "app/g", { ordered: true });
      await session.publishMany(["k1", "k2", "k3"].map((name) => entry("t", name, { orderingKey: "k" })));
      const poison = await consumer.one();
      assert.equal(text(poison), "k1");
      await consumer.settle({ type: "dead", handle: poison.handle, error: "" });
      const slow = await consumer.one();
      assert.equal(text(slow), "k2");
      await kit.elapse(kit.leaseMs + 200);
      assert.deepEqual(await drain(consumer, 2), ["k2", "k3"]);
    },
  },
];

const orderedBacklog: CaseDefinition = {
  name: "counts what is held back by its key",
  async run(kit) {
    const session = await kit.open();
    const consumer = await session.consume("t", "app/g", { ordered: true });
    await session.publishMany(["k1", "k2", "k3"].map((name) => entry("t", name, { orderingKey: "k" })));
    const lease = await consumer.one();
    await consumer.nothing("the others are held back");
    await session.expectBacklog(3, "t", "app/g", "one is leased, two are held back");
    await consumer.ack(lease);
    await session.expectBacklog(2, "t", "app/g", "one is done");
  },
};

const delay: CaseDefinition[] = [
  {
    name: "delivers a delayed event when it is due, and others before it",
    async run(kit) {
      const session = await kit.open();
      const consumer = await session.consume("t", "app/g");
      await session.publish("t", "later", { delayMs: 700 });
      await session.publish("t", "now");
      await consumer.ack(await consumer.one());
      await consumer.nothing("it is not due");
      await kit.elapse(700);
      const lease = await consumer.one();
      assert.equal(text(lease), "later");
      assert.equal(lease.attempt, 1);
    },
  },
];

const ttl: CaseDefinition[] = [
  {
    name: "drops an event that was not delivered in time",
    async run(kit) {
      const session = await kit.open();
      const consumer = await session.consume("t", "app/g");
      await session.publish("t", "short", { ttlMs: 300 });
      await session.publish("t", "long", { ttlMs: 60_000 });
      await kit.elapse(400);
      assert.equal(text(await consumer.one()), "long");
      await consumer.nothing("the other one is past its time");
    },
  },
];

const replay: CaseDefinition[] = [
  {
    name: "begins a group with the oldest event that is retained",
    async run(kit) {
      const session = await kit.open();
      const names = ["a", "b", "c"];
      await session.publishMany(names.map((name) => entry("t", name)));
      const consumer = await session.consume("t", "app/g", { start: { type: "earliest" } });
      await session.publish("t", "d");
      assert.deepEqual(await drain(consumer, 4), [...names, "d"]);
    },
  },
  {
    name: "begins a group with a time",
    async run(kit) {
      const session = await kit.open();
      // The component's clock, told by a dead letter: the only time that it reports.
      const probe = await session.consume("clock", "app/clock");
      const now = async () => {
        await session.publish("clock", "now");
        await probe.settle({ type: "dead", handle: (await probe.one()).handle, error: "" });
        return (await session.deadLetters("clock", "app/clock")).deadLetters.at(-1)?.time ?? 0;
      };
      await session.publish("t", "before");
      await kit.elapse(50);
      const time = (await now()) + 1;
      await kit.elapse(50);
      await session.publish("t", "after");
      const consumer = await session.consume("t", "app/g", { start: { type: "time", time } });
      assert.deepEqual(await drain(consumer, 1), ["after"]);
      await consumer.nothing("what was published before is not delivered");
    },
  },
];

const dedup: CaseDefinition[] = [
  {
    name: "stores the same source and id once, and says so",
    async run(kit) {
      const [here, there] = await kit.pair();
      const consumer = await here.consume("t", "app/g");
      const other = await here.consume("t2", "app/g");
      const first = entry("t", "once");
      const outcomes = await here.publishMany([first, first]);
      assert.deepEqual(outcomes, [
        { type: "published", duplicate: false },
        { type: "published", duplicate: true },
      ]);
      assert.deepEqual(await there.publishMany([first]), [{ type: "published", duplicate: true }]);
      assert.equal((await here.publish("t", "other source", { id: first.id, source: "elsewhere" })).duplicate, false);
      assert.equal((await here.publish("t2", "other topic", { id: first.id })).duplicate, false);
      assert.deepEqual(await drain(consumer, 2), ["once", "other source"]);
      assert.deepEqual(await drain(other, 1), ["other topic"]);
      await consumer.nothing("duplicates are not stored");
    },
  },
  {
    name: "stores one of many that are published at the same time",
    async run(kit) {
      const [here, there] = await kit.pair();
      const consumer = await here.consume("t", "app/g");
      const same = entry("t", "one");
      const outcomes = await Promise.all(
        Array.from({ length: 16 }, (_, index) => (index % 2 === 0 ? here : there).publishMany([same])),
      );
      const stored = outcomes.flat().filter((outcome) => outcome.type === "published" && !outcome.duplicate);
      assert.equal(stored.length, 1);
      assert.deepEqual(await drain(consumer, 1), ["one"]);
      await consumer.nothing("duplicates are not stored");
    },
  },
  {
    name: "forgets a source and id after 10 minutes",
    applies: ({ advance }) => advance !== undefined,
    async run(kit) {
      const session = await kit.open();
      const same = entry("t", "again");
      await session.publishMany([same]);
      await kit.elapse(pubsubLimits.dedupMs + 1_000);
      assert.deepEqual(await session.publishMany([same]), [{ type: "published", duplicate: false }]);
    },
  },
];

/** The cases of each feature. */
export const features: CaseDefinition[] = [
  ...[...ordered, orderedBacklog].map((definition) => ({ ...definition, feature: "ORDERED" as const })),
  ...delay.map((definition) => ({ ...definition, feature: "DELAY" as const })),
  ...ttl.map((definition) => ({ ...definition, feature: "TTL" as const })),
  ...replay.map((definition) => ({ ...definition, feature: "REPLAY" as const })),
  ...dedup.map((definition) => ({ ...definition, feature: "DEDUP" as const })),
];
