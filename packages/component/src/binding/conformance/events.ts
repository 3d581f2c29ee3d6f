import assert from "node:assert/strict";
import { assertDescribed, type CaseDefinition } from "./kit.js";

const comesAgain: Pick<CaseDefinition, "feature" | "applies"> = {
  feature: "INPUT",
  applies: ({ redelivers = "component" }) => redelivers === "component",
};

/** What every binding with INPUT does with an event. */
export const events: CaseDefinition[] = [
  {
    name: "delivers an event as it is described",
    feature: "INPUT",
    async run(kit) {
      const { binding, component } = await kit.open();
      const consumer = kit.consume(binding);
      const coming = consumer.one();
      await kit.trigger(component);
      const lease = await coming;
      assert.equal(lease.attempt, 1);
      assert.match(lease.handle, /^[A-Za-z0-9._-]{16,512}$/);
      assert.match(lease.event.id, /^.{1,256}$/s);
      assert(Number.isFinite(lease.event.time));
      assertDescribed(lease.event.metadata, binding.input?.metadata ?? []);
      if (binding.input?.contentType === undefined) assert.equal(lease.event.data.byteLength, 0);
      await consumer.ack(lease);
    },
  },
  {
    name: "never delivers again what was acked, and takes a late ack for nothing",
    feature: "INPUT",
    async run(kit) {
      const { binding, component } = await kit.open();
      const consumer = kit.consume(binding);
      const coming = consumer.one();
      await kit.trigger(component);
      const lease = await coming;
      await consumer.ack(lease);
      assert.equal(await consumer.settle({ type: "ack", handle: lease.handle }), false, "a second ack is stale");
      assert.equal(
        await consumer.settle({ type: "ack", handle: "no-such-handle-1" }),
        false,
        "an unknown handle is stale",
      );
      await consumer.nothing("it was acked");
    },
  },
  {
    name: "delivers again what failed, its attempt one higher",
    ...comesAgain,
    async run(kit) {
      const { binding, component } = await kit.open();
      const consumer = kit.consume(binding);
      const coming = consumer.one();
      await kit.trigger(component);
      const first = await coming;
      assert.equal(await consumer.settle({ type: "retry", handle: first.handle, afterMs: 0, error: "no" }), true);
      const second = await consumer.one();
      assert.deepEqual([second.event.id, second.attempt], [first.event.id, 2]);
      assert.notEqual(second.handle, first.handle);
      await consumer.ack(second);
    },
  },
  {
    name: "delivers what was handed back at no cost of an attempt, to another consumer too",
    ...comesAgain,
    async run(kit) {
      const { binding, component } = await kit.open();
      const consumer = kit.consume(binding);
      const coming = consumer.one();
      await kit.trigger(component);
      const first = await coming;
      assert.equal(await consumer.settle({ type: "release", handle: first.handle }), true);
      const second = await consumer.one();
      assert.deepEqual([second.event.id, second.attempt], [first.event.id, 1]);
      const other = kit.consume(binding);
      await kit.release(consumer.source);
      const third = await other.one();
      assert.deepEqual([third.event.id, third.attempt], [first.event.id, 1]);
      await other.ack(third);
    },
  },
  {
    name: "delivers again what was not settled in time, unless it was given more",
    ...comesAgain,
    async run(kit) {
      const { binding, component } = await kit.open();
      const consumer = kit.consume(binding);
      const coming = consumer.one();
      await kit.trigger(component);
      const first = await coming;
      await kit.elapse(kit.leaseMs / 2);
      assert.deepEqual(await consumer.source.extend([first.handle, "no-such-handle-1"], kit.leaseMs * 2), [
        true,
        false,
      ]);
      await kit.elapse(kit.leaseMs);
      await consumer.nothing("it was given more time");
      await kit.elapse(kit.leaseMs * 1.5);
      const second = await consumer.one();
      assert.deepEqual([second.event.id, second.attempt], [first.event.id, 2]);
      assert.equal(await consumer.settle({ type: "ack", handle: first.handle }), false, "the first attempt is over");
      await consumer.ack(second);
    },
  },
  {
    name: "forgets what was given up",
    feature: "INPUT",
    async run(kit) {
      const { binding, component } = await kit.open();
      const consumer = kit.consume(binding);
      const coming = consumer.one();
      await kit.trigger(component);
      const lease = await coming;
      assert.equal(await consumer.settle({ type: "dead", handle: lease.handle, error: "never" }), true);
      await consumer.nothing("it was given up");
    },
  },
  {
    name: "shares events among consumers, and a wait that ends takes nothing",
    feature: "INPUT",
    async run(kit) {
      const { binding, component } = await kit.open();
      const consumers = [kit.consume(binding), kit.consume(binding)] as const;
      await Promise.all(consumers.map((consumer) => consumer.nothing("nothing happened yet")));
      const taking = consumers.map(async (consumer) => {
        const leases = await consumer.take(1, 2_000);
        for (const lease of leases) await consumer.ack(lease);
        return leases.length;
      });
      await kit.trigger(component);
      const taken = await Promise.all(taking);
      assert.deepEqual(
        taken.toSorted((a, b) => a - b),
        [0, 1],
        "one of them is delivered it",
      );
    },
  },
  {
    name: "ends waits when it closes",
    feature: "INPUT",
    async run(kit) {
      const { binding, component } = await kit.open();
      const consumer = kit.consume(binding);
      const waiting = consumer.take(1);
      await kit.close(component);
      assert.deepEqual(await waiting, []);
    },
  },
];
