import assert from "node:assert/strict";
import { ComponentError } from "../../errors.js";
import { type CaseDefinition, entry, plainGroup, sorted, text } from "./kit.js";

const refusedWith = (reason: string, fields?: string) => (error: unknown) => {
  assert(error instanceof ComponentError, String(error));
  assert.equal(error.reason, reason);
  if (fields !== undefined) assert.equal(error.metadata.fields, fields);
  return true;
};

/** What belongs to a group, and what becomes of the events that it gave up. */
export const groups: CaseDefinition[] = [
  {
    name: "gives a group the settings of its first open, and refuses others",
    async run(kit) {
      const [here, there] = await kit.pair();
      const settings = { ...plainGroup, filter: "event.type == 'x'", maxAttempts: 3 };
      assert.deepEqual(await here.openGroup("t", "app/g", settings), settings);
      assert.deepEqual(await there.openGroup("t", "app/g", settings), settings);
      const without = {
        keyspace: there.keyspace,
        topic: "t",
        group: "app/g",
        settings: undefined,
        defaults: plainGroup,
      };
      assert.deepEqual(
        await there.pubsub.openGroup({ ...without, update: false }),
        settings,
        "asked for none: its own",
      );
      const other = { ...settings, filter: "", maxAttempts: 4 };
      await assert.rejects(there.openGroup("t", "app/g", other), refusedWith("GROUP_MISMATCH", "filter,maxAttempts"));
      assert.deepEqual(await there.openGroup("t", "app/g", other, true), other, "update changes them");
      assert.deepEqual(await here.openGroup("t", "app/g", other), other);
    },
  },
  {
    name: "gives a group that is opened without settings the defaults",
    async run(kit) {
      const session = await kit.open();
      const call = { keyspace: session.keyspace, topic: "t", group: "app/g", settings: undefined, update: false };
      assert.deepEqual(await session.pubsub.openGroup({ ...call, defaults: plainGroup }), plainGroup);
    },
  },
  {
    name: "tells of a group only once it was opened",
    async run(kit) {
      const session = await kit.open();
      const call = { keyspace: session.keyspace, topic: "t", group: "app/g" };
      assert.equal(await session.pubsub.settingsOf(call), undefined);
      assert.deepEqual((await session.deadLetters("t", "app/g")).deadLetters, []);
      assert.equal(await session.requeue("t", "app/g"), 0);
      assert.equal(await session.drop("t", "app/g"), 0);
      assert.equal(await session.pubsub.settingsOf(call), undefined, "asking makes no group");
      await session.openGroup("t", "app/g");
      assert.deepEqual(await session.pubsub.settingsOf(call), plainGroup);
    },
  },
  {
    name: "never changes where a group began",
    async run(kit) {
      const session = await kit.open();
      await session.openGroup("t", "app/g");
      const other = { ...plainGroup, start: { type: "earliest" } } as const;
      await assert.rejects(session.openGroup("t", "app/g", other, true), refusedWith("GROUP_MISMATCH", "start"));
    },
  },
  {
    name: "keeps what a group gave up, and nowhere else",
    async run(kit) {
      const session = await kit.open();
      const consumer = await session.consume("t", "app/g");
      const other = await session.consume("t", "app/other");
      await session.publish("t", "poison", { orderingKey: "k" });
      const lease = await consumer.one();
      assert.deepEqual(await consumer.settle({ type: "dead", handle: lease.handle, error: "cannot parse" }), [true]);
      await consumer.nothing("it was given up");
      const { deadLetters, more } = await session.deadLetters("t", "app/g");
      assert.equal(more, false);
      assert.equal(deadLetters.length, 1);
      const [dead] = deadLetters;
      assert(dead !== undefined);
      assert.equal(text(dead), "poison");
      assert.equal(dead.orderingKey, "k");
      assert.equal(dead.attempts, 1);
      assert.equal(dead.lastError, "cannot parse");
      assert.deepEqual((await session.deadLetters("t", "app/other")).deadLetters, []);
      await other.ack(await other.one());
    },
  },
  {
    name: "lists dead letters oldest first, page by page",
    async run(kit) {
      const session = await kit.open();
      const consumer = await session.consume("t", "app/g");
      const names = Array.from({ length: 7 }, (_, index) => `dead ${index} ${"x".repeat(1_000)}`);
      for (const name of names) {
        await session.publish("t", name);
        const { handle } = await consumer.one();
        await consumer.settle({ type: "dead", handle, error: "" });
      }
      const listed: string[] = [];
      for (let after: string | undefined; ; ) {
        const page = await session.deadLetters("t", "app/g", { limit: 3, ...(after !== undefined && { after }) });
        listed.push(...page.deadLetters.map(text));
        after = page.deadLetters.at(-1)?.id;
        if (!page.more) break;
        assert.equal(page.deadLetters.length, 3);
      }
      assert.deepEqual(listed, names);
      const small = await session.deadLetters("t", "app/g", { maxBytes: 1 });
      assert.equal(small.deadLetters.length, 1, "one is always allowed");
      assert.equal(small.more, true);
    },
  },
  {
    name: "delivers requeued dead letters with a fresh count of attempts, and forgets dropped ones",
    async run(kit) {
      const session = await kit.open();
      const consumer = await session.consume("t", "app/g");
      await session.publishMany(["a", "b", "c"].map((name) => entry("t", name)));
      for (const { handle } of await consumer.many(3)) await consumer.settle({ type: "dead", handle, error: "" });
      const { deadLetters } = await session.deadLetters("t", "app/g");
      const [first, second] = deadLetters;
      assert(first !== undefined && second !== undefined && deadLetters.length === 3);
      assert.equal(await session.requeue("t", "app/g", [first.id, "no-such-dead-letter"]), 1);
      const again = await consumer.one();
      assert.equal(text(again), text(first));
      assert.equal(again.attempt, 1);
      await consumer.ack(again);
      assert.equal(await session.drop("t", "app/g", [second.id]), 1);
      assert.equal((await session.deadLetters("t", "app/g")).deadLetters.length, 1);
      assert.equal(await session.requeue("t", "app/g"), 1, "all that are left");
      await consumer.ack(await consumer.one());
      assert.equal(await session.drop("t", "app/g"), 0);
      assert.deepEqual((await session.deadLetters("t", "app/g")).deadLetters, []);
    },
  },
  {
    name: "forgets a deleted group, and begins anew when it is opened again",
    async run(kit) {
      const [here, there] = await kit.pair();
      const consumer = await here.consume("t", "app/g");
      const neighbour = await here.consume("t", "app/other");
      await here.publishMany(["leased", "dead", "waiting"].map((name) => entry("t", name)));
      const [leased, dead] = await consumer.many(2);
      assert(leased !== undefined && dead !== undefined);
      await consumer.settle({ type: "dead", handle: dead.handle, error: "" });
      assert.equal(await there.deleteGroup("t", "app/g"), true);
      assert.equal(await there.deleteGroup("t", "app/g"), false, "it is gone");
      assert.equal(await here.deleteGroup("no-such-topic", "app/g"), false);
      assert.equal(await there.pubsub.settingsOf({ keyspace: there.keyspace, topic: "t", group: "app/g" }), undefined);
      assert.deepEqual(await consumer.settle({ type: "ack", handle: leased.handle }), [false], "a lease of it is none");
      const other = { ...plainGroup, maxAttempts: 3 };
      assert.deepEqual(await there.openGroup("t", "app/g", other), other, "its old settings bind nobody");
      assert.deepEqual((await there.deadLetters("t", "app/g")).deadLetters, []);
      const anew = await there.consume("t", "app/g", other);
      await anew.nothing("what was published before is not its");
      await there.publish("t", "next");
      const lease = await anew.one();
      assert.equal(text(lease), "next");
      await anew.ack(lease);
      const rest = await neighbour.many(4);
      assert.deepEqual(sorted(rest.map(text)), ["dead", "leased", "next", "waiting"], "other groups keep theirs");
      await neighbour.ack(...rest);
    },
  },
  {
    name: "counts what a group has waiting and leased, and not its dead letters",
    async run(kit) {
      const [here, there] = await kit.pair();
      await here.expectBacklog(0, "t", "app/g", "there is no such group");
      assert.equal(
        await here.pubsub.settingsOf({ keyspace: here.keyspace, topic: "t", group: "app/g" }),
        undefined,
        "asking makes none",
      );
      const consumer = await here.consume("t", "app/g");
      await here.openGroup("t", "app/other");
      await here.openGroup("t2", "app/g");
      await here.publishMany(["a", "b", "c", "d", "e"].map((name) => entry("t", name)));
      await there.expectBacklog(5, "t", "app/g", "all are waiting");
      const [acked, dead, retried, ...leased] = await consumer.many(4);
      assert(acked !== undefined && dead !== undefined && retried !== undefined);
      await here.expectBacklog(5, "t", "app/g", "four are leased");
      await consumer.ack(acked);
      await here.expectBacklog(4, "t", "app/g", "one is done");
      await consumer.settle({ type: "dead", handle: dead.handle, error: "" });
      await here.expectBacklog(3, "t", "app/g", "one was given up");
      await consumer.settle({ type: "retry", handle: retried.handle, afterMs: 60_000, error: "" });
      await consumer.settle(...leased.map(({ handle }) => ({ type: "release", handle }) as const));
      await there.expectBacklog(3, "t", "app/g", "what comes again is waiting");
      assert.equal(await here.requeue("t", "app/g"), 1);
      await there.expectBacklog(4, "t", "app/g", "what was requeued is waiting again");
      await here.expectBacklog(5, "t", "app/other", "another group");
      await here.expectBacklog(0, "t2", "app/g", "another topic");
    },
  },
  {
    name: "keeps everything across a restart",
    applies: ({ durability }) => durability !== "PROCESS",
    async run(kit) {
      const component = await kit.component();
      const before = kit.session(component);
      const consumer = await before.consume("t", "app/g", { maxAttempts: 5 });
      consumer.component = component;
      await before.publishMany(["dead", "acked", "leased", "waiting"].map((name) => entry("t", name)));
      const byName = new Map((await consumer.many(3)).map((lease) => [text(lease), lease] as const));
      for (const [name, { handle }] of byName) {
        if (name === "dead") await consumer.settle({ type: "dead", handle, error: "no" });
        if (name === "acked") await consumer.settle({ type: "ack", handle });
      }
      await kit.close(component);
      const after = await kit.open();
      const settings = await after.openGroup("t", "app/g", { ...plainGroup, maxAttempts: 5 });
      assert.equal(settings.maxAttempts, 5);
      assert.deepEqual((await after.deadLetters("t", "app/g")).deadLetters.map(text), ["dead"]);
      const again = await after.consume("t", "app/g", { maxAttempts: 5 });
      const rest = await again.many(2);
      assert.deepEqual(sorted(rest.map(text)), ["leased", "waiting"]);
      await again.ack(...rest);
    },
  },
];
