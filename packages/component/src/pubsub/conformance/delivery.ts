import assert from "node:assert/strict";
import { type CaseDefinition, entry, sorted, text } from "./kit.js";

/** What every pubsub does with an event between publishing and settling. */
export const delivery: CaseDefinition[] = [
  {
    name: "delivers an event as it was published",
    async run(kit) {
      const session = await kit.open();
      const consumer = await session.consume("t", "app/g");
      const payload = Uint8Array.from({ length: 256 }, (_, index) => index);
      await session.publishMany([{ ...entry("t", "", { orderingKey: "k" }), payload }]);
      const lease = await consumer.one();
      assert.deepEqual(Uint8Array.from(lease.payload), payload);
      assert.equal(lease.attempt, 1);
      assert.equal(lease.orderingKey, "k");
      assert.match(lease.handle, /^[A-Za-z0-9._-]{16,512}$/);
    },
  },
  {
    name: "keeps what is published for a group that nobody consumes for",
    async run(kit) {
      const session = await kit.open();
      await session.openGroup("t", "app/g");
      await session.publish("t", "kept");
      assert.equal(text(await (await session.consume("t", "app/g")).one()), "kept");
    },
  },
  {
    name: "begins a group with what is published after it was opened",
    async run(kit) {
      const session = await kit.open();
      await session.publish("t", "before");
      const consumer = await session.consume("t", "app/g");
      await session.publish("t", "after");
      assert.equal(text(await consumer.one()), "after");
      await consumer.nothing("what was published before is not delivered");
    },
  },
  {
    name: "gives every group every event, and shares a group's events among its consumers",
    async run(kit) {
      const [here, there] = await kit.pair();
      const mail = [await here.consume("t", "app/mail"), await there.consume("t", "app/mail")];
      const bill = await there.consume("t", "app/bill");
      const published = Array.from({ length: 40 }, (_, index) => `event ${index}`);
      await here.publishMany(published.map((name) => entry("t", name)));
      const received: string[] = [];
      const consuming = mail.map(async (consumer) => {
        // One of them may get nothing for a while: each acks for itself.
        for (let empty = 0; received.length < published.length && empty < 20; ) {
          const taken = await consumer.take(5, 500);
          empty = taken.length === 0 ? empty + 1 : 0;
          received.push(...taken.map(text));
          if (taken.length > 0) await consumer.ack(...taken);
        }
      });
      await Promise.all(consuming);
      assert.deepEqual(sorted(received), sorted(published), "each event comes to one consumer of the group");
      const billed = await bill.many(published.length);
      assert.deepEqual(sorted(billed.map(text)), sorted(published), "another group gets all of them too");
    },
  },
  {
    name: "takes at most as many events and bytes as asked for, and always one",
    async run(kit) {
      const session = await kit.open();
      const consumer = await session.consume("t", "app/g");
      const size = 10_000;
      await session.publishMany(Array.from({ length: 6 }, () => entry("t", "x".repeat(size))));
      const two = await consumer.take(10, 10_000, 2 * size + size / 2);
      assert(
        two.length >= 1 && two.length <= 2,
        `${two.length} events of ${size} bytes where ${2.5 * size} bytes were allowed`,
      );
      const one = await consumer.take(10, 10_000, 1);
      assert.equal(one.length, 1, "one event is always allowed");
    },
  },
  {
    name: "never delivers again what was acked",
    async run(kit) {
      const session = await kit.open();
      const consumer = await session.consume("t", "app/g");
      await session.publish("t", "once");
      await consumer.ack(await consumer.one());
      await kit.elapse(kit.leaseMs + 200);
      await consumer.nothing("it was acked");
    },
  },
  {
    name: "delivers again, as another attempt, what was not settled before its lease ended",
    async run(kit) {
      const session = await kit.open();
      const consumer = await session.consume("t", "app/g");
      await session.publish("t", "slow");
      const first = await consumer.one();
      await consumer.nothing("it is leased");
      await kit.elapse(kit.leaseMs + 200);
      const second = await consumer.one();
      assert.equal(text(second), "slow");
      assert.equal(second.attempt, 2);
      assert.notEqual(second.handle, first.handle);
      assert.deepEqual(await consumer.settle({ type: "ack", handle: first.handle }), [false], "a late ack is stale");
      await consumer.ack(second);
    },
  },
  {
    name: "delivers again after the asked time what is to be tried again",
    async run(kit) {
      const session = await kit.open();
      const consumer = await session.consume("t", "app/g");
      await session.publish("t", "again");
      const first = await consumer.one();
      const retry = { type: "retry", handle: first.handle, afterMs: 600, error: "not yet" } as const;
      assert.deepEqual(await consumer.settle(retry), [true]);
      await consumer.nothing("it is not due");
      await kit.elapse(600);
      const second = await consumer.one();
      assert.equal(text(second), "again");
      assert.equal(second.attempt, 2);
    },
  },
  {
    name: "delivers again at once, at no cost of an attempt, what was released",
    async run(kit) {
      const [here, there] = await kit.pair();
      const consumer = await here.consume("t", "app/g");
      const other = await there.consume("t", "app/g");
      await here.publish("t", "released");
      const first = await consumer.one();
      assert.deepEqual(await consumer.settle({ type: "release", handle: first.handle }), [true]);
      const second = await other.one();
      assert.equal(text(second), "released");
      assert.equal(second.attempt, 1);
    },
  },
  {
    name: "hands back what a consumer holds when it closes",
    async run(kit) {
      const [here, there] = await kit.pair();
      const consumer = await here.consume("t", "app/g");
      const other = await there.consume("t", "app/g");
      await here.publishMany([entry("t", "a"), entry("t", "b")]);
      await consumer.many(2);
      await kit.release(consumer);
      const again = await other.many(2);
      assert.deepEqual(sorted(again.map(text)), ["a", "b"]);
      assert.deepEqual(
        again.map(({ attempt }) => attempt),
        [1, 1],
        "no attempt was lost",
      );
    },
  },
  {
    name: "takes no settlement twice, of an unknown handle, or of another group",
    async run(kit) {
      const session = await kit.open();
      const mine = await session.consume("t", "app/mine");
      const theirs = await session.consume("t", "other/theirs");
      await session.publish("t", "x");
      const lease = await mine.one();
      const other = await theirs.one();
      assert.deepEqual(await mine.settle({ type: "ack", handle: other.handle }), [false], "another group's");
      assert.deepEqual(await mine.settle({ type: "ack", handle: "unknown-handle-of-nobody" }), [false], "nobody's");
      await mine.ack(lease);
      assert.deepEqual(await mine.settle({ type: "ack", handle: lease.handle }), [false], "a second time");
      await theirs.ack(other);
    },
  },
  {
    name: "settles many at once, each on its own",
    async run(kit) {
      const session = await kit.open();
      const consumer = await session.consume("t", "app/g");
      await session.publishMany(["a", "b", "c"].map((name) => entry("t", name)));
      const [a, b, c] = await consumer.many(3);
      assert(a !== undefined && b !== undefined && c !== undefined);
      const outcomes = await consumer.settle(
        { type: "ack", handle: a.handle },
        { type: "ack", handle: "unknown-handle-of-nobody" },
        { type: "release", handle: b.handle },
        { type: "dead", handle: c.handle, error: "no" },
      );
      assert.deepEqual(outcomes, [true, false, true, true]);
      assert.equal(text(await consumer.one()), text(b));
    },
  },
  {
    name: "gives a delivery more time",
    async run(kit) {
      const session = await kit.open();
      const consumer = await session.consume("t", "app/g");
      await session.publish("t", "long");
      const lease = await consumer.one();
      assert.equal(await consumer.extend(lease.handle, kit.leaseMs * 4), true);
      await kit.elapse(kit.leaseMs * 2);
      await consumer.nothing("its lease was extended");
      await consumer.ack(lease);
      assert.equal(await consumer.extend(lease.handle, kit.leaseMs), false, "it is settled");
    },
  },
  {
    name: "wakes a consumer that waits, also from another process, and ends the wait when asked",
    async run(kit) {
      const [here, there] = await kit.pair();
      const consumer = await here.consume("t", "app/g");
      const waiting = consumer.one();
      await there.publish("t", "wake");
      await consumer.ack(await waiting);
      assert.deepEqual(await consumer.take(1, 50), [], "an aborted wait takes nothing");
      await there.publish("t", "later");
      assert.equal(text(await consumer.one()), "later", "an aborted wait loses nothing");
      await there.publish("t", "at once");
      const call = { maxItems: 1, maxBytes: 1024, leaseMs: kit.leaseMs, signal: AbortSignal.abort() };
      assert.deepEqual(
        (await consumer.source.receive(call)).map(text),
        ["at once"],
        "takes what there is without waiting",
      );
    },
  },
  {
    name: "keeps topics and keyspaces apart",
    async run(kit) {
      const component = await kit.component();
      const session = kit.session(component);
      const other = kit.session(component, `${kit.keyspace}.other`);
      const consumers = [
        await session.consume("t", "app/g"),
        await session.consume("t2", "app/g"),
        await other.consume("t", "app/g"),
      ] as const;
      await session.publish("t", "here");
      // They are asked first: once it is leased, one group would not be given it twice anyway.
      await consumers[1].nothing("another topic");
      await consumers[2].nothing("another keyspace");
      assert.equal(text(await consumers[0].one()), "here");
    },
  },
  {
    name: "takes events up to its limit",
    async run(kit) {
      const session = await kit.open();
      const consumer = await session.consume("t", "app/g");
      const payload = new Uint8Array(session.pubsub.maxEventBytes).fill(7);
      await session.publishMany([{ ...entry("t", ""), payload }]);
      assert.deepEqual((await consumer.one()).payload.byteLength, payload.byteLength);
    },
  },
  {
    name: "loses nothing and repeats nothing with many publishers and consumers at once",
    async run(kit) {
      const [here, there] = await kit.pair();
      const consumers = await Promise.all([here, there, here, there].map((session) => session.consume("t", "app/g")));
      const publishers = 8;
      const each = 50;
      const received: string[] = [];
      const done = new AbortController();
      const consuming = consumers.map(async (consumer) => {
        while (!done.signal.aborted) {
          const taken = await consumer.take(7, 200);
          if (taken.length > 0) await consumer.ack(...taken);
          received.push(...taken.map(text));
          if (received.length >= publishers * each) done.abort();
        }
      });
      await Promise.all(
        Array.from({ length: publishers }, async (_, publisher) => {
          const session = publisher % 2 === 0 ? here : there;
          for (let n = 0; n < each; n++) await session.publish("t", `${publisher}:${n}`);
        }),
      );
      const giveUp = setTimeout(() => done.abort(), 30_000);
      await Promise.all(consuming);
      clearTimeout(giveUp);
      assert.equal(received.length, publishers * each);
      assert.equal(new Set(received).size, publishers * each);
    },
  },
  {
    name: "refuses metadata that it does not know, and with it what follows by its key",
    async run(kit) {
      const session = await kit.open();
      const consumer = await session.consume("t", "app/g");
      const outcomes = await session.publishMany([
        entry("t", "fine", { orderingKey: "k" }),
        entry("t", "bad", { orderingKey: "k", metadata: { "no-such-key": "1" } }),
        entry("t", "held back", { orderingKey: "k" }),
        entry("t", "other key", { orderingKey: "l" }),
      ]);
      assert.deepEqual(
        outcomes.map((outcome) => (outcome.type === "failed" ? outcome.error.reason : outcome.type)),
        ["published", "BAD_REQUEST", "EARLIER_FAILED", "published"],
      );
      assert.deepEqual((await consumer.many(2)).map(text), ["fine", "other key"]);
    },
  },
];
