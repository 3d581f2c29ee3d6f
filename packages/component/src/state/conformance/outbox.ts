import assert from "node:assert/strict";
import type { Component } from "../../component.js";
import { ComponentError } from "../../errors.js";
import { type EntryOptions, entry, type Session, sorted, text } from "../../pubsub/conformance/kit.js";
import type { PubSubEntry } from "../../pubsub/interface.js";
import { stateLimits } from "../features.js";
import type { StateOperation, StatePublish, StateRequestId, StateResult } from "../interface.js";
import { refused } from "./expect.js";
import { type CaseDefinition, type StateKit, survivesRestart } from "./kit.js";
import { absent, check, etagIs, exists, remove, type StateSession, set } from "./session.js";

/** Both blocks of one component: the case's keyspace of its state, and of its pubsub. */
interface Outbox {
  readonly state: StateSession;
  readonly events: Session;
  readonly component: Component;
  write(
    operations: readonly StateOperation[],
    publishes: readonly PubSubEntry[],
    requestId?: StateRequestId,
  ): Promise<StateResult[]>;
}

async function open(kit: StateKit): Promise<Outbox> {
  const component = await kit.component();
  const [state, events] = [kit.session(component), kit.events(component)];
  const within = (found: PubSubEntry): StatePublish => ({ keyspace: events.keyspace, entry: found });
  return {
    component,
    state,
    events,
    write: (operations, publishes, requestId) => state.write(operations, requestId, undefined, publishes.map(within)),
  };
}

/** Two over the same storage, as in two processes; the same one twice where components share nothing. */
async function pair(kit: StateKit): Promise<[Outbox, Outbox]> {
  const first = await open(kit);
  return [first, kit.harness.shared ? await open(kit) : first];
}

const named = (name: string, options: EntryOptions = {}) => entry("t", name, options);

/** What `publish` in a transaction promises. */
const cases: CaseDefinition[] = [
  {
    name: "outbox: an event of a transaction is delivered as one that was published, together with what it wrote",
    async run(kit) {
      const [here, there] = await pair(kit);
      const consumers = [await there.events.consume("t", "app/g"), await here.events.consume("t", "app/other")];
      const payload = Uint8Array.from({ length: 256 }, (_, index) => index);
      await here.state.set("old");
      // They wait already: an event that is out before its transaction is done reaches them.
      const arrivals = consumers.map(async (consumer) => {
        const lease = await consumer.one();
        return { consumer, lease, order: await there.state.text("order") };
      });
      const results = await here.write(
        [set("order", "placed"), remove("old"), check("none", absent)],
        [{ ...named("", { orderingKey: "k" }), payload }],
      );
      assert.deepEqual(
        results.map(({ type }) => type),
        ["set", "delete", "check"],
        "a result per operation, and none per event",
      );
      for (const { consumer, lease, order } of await Promise.all(arrivals)) {
        assert.deepEqual(Uint8Array.from(lease.payload), payload);
        assert.equal(lease.orderingKey, "k");
        assert.equal(lease.attempt, 1);
        assert.equal(order, "placed", "what was written is there when the event comes");
        await consumer.ack(lease);
      }
      await consumers[0]?.nothing("it was published once");
    },
  },
  {
    name: "outbox: a transaction that is refused publishes nothing",
    async run(kit) {
      const outbox = await open(kit);
      const consumer = await outbox.events.consume("t", "app/g");
      const etag = await outbox.state.set("key", "1");
      await outbox.state.set("key", "2");
      const lost = [named("lost"), named("lost", { orderingKey: "k" })];
      await refused(outbox.write([set("a"), check("key", etagIs(etag))], lost), "ETAG_MISMATCH", {
        operation_index: "1",
      });
      await refused(outbox.write([check("key", absent)], lost), "ALREADY_EXISTS", { operation_index: "0" });
      await refused(outbox.write([set("a"), set("b", "", { precondition: exists })], lost), "NOT_EXISTS");
      assert.deepEqual(await outbox.state.keys(), ["key"]);
      await outbox.write([check("key", exists)], [named("kept")]);
      assert.equal(text(await consumer.one()), "kept");
      await consumer.nothing("the others were never published");
    },
  },
  {
    name: "outbox: an event that cannot be published refuses the whole transaction and is named",
    async run(kit) {
      const outbox = await open(kit);
      const consumer = await outbox.events.consume("t", "app/g");
      const bad = named("bad", { metadata: { "no-such-key": "1" } });
      await refused(outbox.write([set("a")], [named("fine"), bad, named("too")]), "BAD_REQUEST", {
        publish_index: "1",
      });
      assert.deepEqual(await outbox.state.keys(), []);
      await consumer.nothing("nothing was published");
    },
  },
  {
    name: "outbox: a transaction may publish and do nothing else",
    async run(kit) {
      const outbox = await open(kit);
      const consumer = await outbox.events.consume("t", "app/g");
      assert.deepEqual(await outbox.write([], [named("a")]), []);
      assert.equal(text(await consumer.one()), "a");
      assert.deepEqual(await outbox.state.keys(), []);
    },
  },
  {
    name: "outbox: a request that is sent again publishes nothing more",
    async run(kit) {
      const [here, there] = await pair(kit);
      const consumer = await here.events.consume("t", "app/g");
      const again = (outbox: Outbox, id: string, operations: readonly StateOperation[]) =>
        // Another event id each time, so that deduplication does not hide a second one.
        outbox.write(operations, [named(id)], { id, fingerprint: `digest of ${id}` });
      const first = await again(here, "both", [set("key", "v")]);
      assert.deepEqual(await again(there, "both", [set("key", "v")]), first);
      assert.deepEqual(await again(here, "alone", []), []);
      assert.deepEqual(await again(there, "alone", []), []);
      assert.deepEqual(sorted((await consumer.many(2)).map(text)), ["alone", "both"]);
      await consumer.nothing("each was published once");
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
    name: "outbox: with many writers at once every committed transaction has its event, and no other has",
    async run(kit) {
      const outboxes = await pair(kit);
      const consumer = await outboxes[1].events.consume("t", "app/g");
      await outboxes[0].state.set("counter", "0");
      const writers = 16;
      const each = 4;
      let refusals = 0;
      const increment = async ({ state, write }: Outbox) => {
        for (;;) {
          const { etag, value } = await state.item("counter");
          const next = String(Number(new TextDecoder().decode(value)) + 1);
          try {
            await write([set("counter", next, { precondition: etagIs(etag) })], [named(next)]);
            return;
          } catch (error) {
            if (!(error instanceof ComponentError) || error.reason !== "ETAG_MISMATCH") throw error;
            refusals += 1;
          }
        }
      };
      await Promise.all(
        Array.from({ length: writers }, async (_, writer) => {
          for (let n = 0; n < each; n++) await increment(outboxes[writer % 2 === 0 ? 0 : 1]);
        }),
      );
      assert(refusals > 0, "some transactions were refused");
      const expected = Array.from({ length: writers * each }, (_, index) => String(index + 1));
      const received = (await consumer.many(expected.length)).map(text);
      assert.deepEqual(sorted(received), sorted(expected));
      await consumer.nothing("what was refused published nothing");
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
    async run(kit) {
      const outbox = await open(kit);
      if (!outbox.events.pubsub.features.includes("DEDUP")) return;
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
    name: "outbox: delays an event, and drops one that is past its time",
    async run(kit) {
      const outbox = await open(kit);
      const { features } = outbox.events.pubsub;
      const consumer = await outbox.events.consume("t", "app/g");
      if (features.includes("DELAY")) {
        await outbox.write([set("a")], [named("later", { delayMs: 700 })]);
        await consumer.nothing("it is not due");
        await kit.elapse(700);
        const lease = await consumer.one();
        assert.equal(text(lease), "later");
        await consumer.ack(lease);
      }
      if (features.includes("TTL")) {
        await outbox.write([set("b")], [named("short", { ttlMs: 300 }), named("long", { ttlMs: 60_000 })]);
        await kit.elapse(400);
        assert.equal(text(await consumer.one()), "long");
        await consumer.nothing("the other one is past its time");
      }
    },
  },
];

export const outboxCases = cases.map((definition) => ({ ...definition, feature: "OUTBOX" as const }));
