import assert from "node:assert/strict";
import { ComponentError } from "../../../errors.js";
import { sorted, text } from "../../../pubsub/conformance/kit.js";
import type { StateOperation } from "../../interface.js";
import { refused } from "../expect.js";
import type { CaseDefinition } from "../kit.js";
import { absent, check, etagIs, exists, remove, set } from "../session.js";
import { named, type Outbox, open, pair } from "./kit.js";

/** A transaction and its events: both or neither, once. */
export const transactionCases: CaseDefinition[] = [
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
];
