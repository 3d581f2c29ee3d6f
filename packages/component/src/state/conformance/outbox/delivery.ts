import assert from "node:assert/strict";
import { sorted, text } from "../../../pubsub/conformance/kit.js";
import type { PubSubFeature } from "../../../pubsub/features.js";
import { stateLimits } from "../../features.js";
import type { StateHarness } from "../harness.js";
import { type CaseDefinition, survivesRestart } from "../kit.js";
import { set } from "../session.js";
import { named, open, pair } from "./kit.js";

const withPubSub =
  (feature: PubSubFeature) =>
  ({ pubsubFeatures }: StateHarness): boolean =>
    pubsubFeatures?.includes(feature) === true;

/** What becomes of events that a transaction published. */
export const deliveryCases: CaseDefinition[] = [
  {
    name: "outbox: the pubsub of the same component declares the features that it should",
    applies: ({ pubsubFeatures }) => pubsubFeatures !== undefined,
    async run(kit) {
      const { events } = await open(kit);
      assert.deepEqual(new Set(events.pubsub.features), new Set(kit.harness.pubsubFeatures));
    },
  },
  {
    name: "outbox: events come in the order of their transactions, and of their operations within one",
    async run(kit) {
      const outbox = await open(kit);
      const isOrdered = outbox.events.pubsub.features.includes("ORDERED");
      const consumer = await outbox.events.consume("t", "app/g", { ordered: isOrdered });
      const expected: string[] = [];
      for (let round = 0; round < 5; round++) {
        const names = [0, 1, 2].map((n) => `${round}.${n}`);
        await outbox.write(
          [set("key", String(round))],
          names.map((name) => named(name, { orderingKey: "k" })),
        );
        await outbox.events.publish("t", `${round}.plain`, { orderingKey: "k" });
        expected.push(...names, `${round}.plain`);
      }
      const received: string[] = [];
      while (received.length < expected.length) {
        const leases = await consumer.take(isOrdered ? 10 : 1);
        assert(leases.length > 0, `${received.length} of ${expected.length} events came`);
        received.push(...leases.map(text));
        await consumer.ack(...leases);
      }
      assert.deepEqual(received, expected);
    },
  },
  {
    name: "outbox: wakes a consumer that waits, also in another process",
    async run(kit) {
      const [here, there] = await pair(kit);
      const consumer = await there.events.consume("t", "app/g");
      for (const name of ["first", "second"]) {
        const waiting = consumer.one();
        await here.write([set("key", name)], [named(name)]);
        const lease = await waiting;
        assert.equal(text(lease), name);
        await consumer.ack(lease);
      }
    },
  },
  {
    name: "outbox: keeps what is published for a group that nobody consumes for, and counts it exactly",
    async run(kit) {
      const [here, there] = await pair(kit);
      await here.events.openGroup("t", "app/g");
      await here.write([set("a")], [named("1"), named("2")]);
      assert.equal(await there.events.backlog("t", "app/g"), 2);
      const consumer = await here.events.consume("t", "app/g");
      const lease = await consumer.one();
      assert.equal(await there.events.backlog("t", "app/g"), 2, "what is leased counts, whoever asks");
      await consumer.ack(lease);
      assert.equal(await there.events.backlog("t", "app/g"), 1);
    },
  },
  {
    name: "outbox: an event stays what it is across a restart",
    applies: survivesRestart,
    async run(kit) {
      const first = await open(kit);
      await first.events.openGroup("t", "app/g");
      await first.write([set("key", "v")], [named("kept", { orderingKey: "k" })]);
      await kit.close(first.component);
      const second = await open(kit);
      assert.equal(await second.state.text("key"), "v");
      const lease = await (await second.events.consume("t", "app/g")).one();
      assert.equal(text(lease), "kept");
      assert.equal(lease.orderingKey, "k");
    },
  },
  {
    name: "outbox: keeps the keyspaces of its events apart, those of the state among them",
    async run(kit) {
      const outbox = await open(kit);
      const consumer = await outbox.events.consume("t", "app/g");
      const other = await kit.events(outbox.component, outbox.state.keyspace).consume("t", "app/g");
      await outbox.state.write([], undefined, undefined, [
        { keyspace: outbox.state.keyspace, entry: named("internal") },
        { keyspace: outbox.events.keyspace, entry: named("public") },
      ]);
      assert.equal(text(await consumer.one()), "public");
      assert.equal(text(await other.one()), "internal");
      await consumer.nothing("the other is in another keyspace");
      await other.nothing("the other is in another keyspace");
    },
  },
  {
    name: "outbox: takes events up to the limit, and a transaction full of them",
    async run(kit) {
      const outbox = await open(kit);
      const consumer = await outbox.events.consume("t", "app/g");
      const { maxEventBytes } = outbox.events.pubsub;
      const count = Math.min(stateLimits.maxOperations, Math.floor(stateLimits.maxTransactionBytes / maxEventBytes));
      const large = Array.from({ length: count }, () => ({ ...named(""), payload: new Uint8Array(maxEventBytes) }));
      await outbox.write([], large);
      for (const lease of await consumer.many(count)) {
        assert.equal(lease.payload.byteLength, maxEventBytes);
        await consumer.ack(lease);
      }
      const many = Array.from({ length: stateLimits.maxOperations - 1 }, (_, index) => named(String(index)));
      await outbox.write([set("key")], many);
      assert.deepEqual(sorted((await consumer.many(many.length)).map(text)), sorted(many.map(text)));
    },
  },
  {
    name: "outbox: stores the same source and id once, however it was published",
    applies: withPubSub("DEDUP"),
    async run(kit) {
      const outbox = await open(kit);
      const consumer = await outbox.events.consume("t", "app/g");
      const same = named("once");
      await outbox.write([set("a")], [same, same]);
      await outbox.write([set("b")], [same]);
      assert.deepEqual(await outbox.state.keys(), ["a", "b"], "a duplicate stops no transaction");
      assert.deepEqual(await outbox.events.publishMany([same]), [{ type: "published", duplicate: true }]);
      const lease = await consumer.one();
      assert.equal(text(lease), "once");
      await consumer.nothing("duplicates are not stored");
    },
  },
  {
    name: "outbox: delays an event",
    applies: withPubSub("DELAY"),
    async run(kit) {
      const outbox = await open(kit);
      const consumer = await outbox.events.consume("t", "app/g");
      await outbox.write([set("a")], [named("later", { delayMs: 700 })]);
      await consumer.nothing("it is not due");
      await kit.elapse(700);
      assert.equal(text(await consumer.one()), "later");
    },
  },
  {
    name: "outbox: drops an event that is past its time",
    applies: withPubSub("TTL"),
    async run(kit) {
      const outbox = await open(kit);
      const consumer = await outbox.events.consume("t", "app/g");
      await outbox.write([set("b")], [named("short", { ttlMs: 300 }), named("long", { ttlMs: 60_000 })]);
      await kit.elapse(400);
      assert.equal(text(await consumer.one()), "long");
      await consumer.nothing("the other one is past its time");
    },
  },
];
