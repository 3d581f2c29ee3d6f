import assert from "node:assert/strict";
import { type CaseDefinition, eventually, instance } from "./kit.js";

/** What a watch promises where instances register. */
export const watches: CaseDefinition[] = [
  {
    name: "a watch tells what is there, what comes and what goes, whichever process does it",
    feature: "REGISTER",
    async run(kit) {
      const [ours, theirs] = [await kit.open(), await kit.open()];
      const watcher = ours.watch("orders");
      await watcher.expect(undefined, "nobody knows the app yet");
      await theirs.register(instance("i-1", "orders"), kit.lastingMs);
      await watcher.expect(["i-1"], "another process registered");
      await ours.register(instance("i-2", "orders"), kit.lastingMs);
      await watcher.expect(["i-1", "i-2"], "this process registered");
      await theirs.deregister("orders", "i-1");
      await watcher.expect(["i-2"], "another process deregistered");
      await ours.deregister("orders", "i-2");
      await watcher.expect([], "nobody is left");
      await watcher.stop();
    },
  },
  {
    name: "a watch tells that a lease has ended, though nobody wrote anything",
    feature: "REGISTER",
    async run(kit) {
      const session = await kit.open();
      const watcher = session.watch("orders");
      await session.register(instance("i-1", "orders"));
      await session.register(instance("i-2", "orders"), kit.ttlMs * 4);
      await watcher.expect(["i-1", "i-2"], "both are there");
      await kit.elapse(kit.ttlMs * 0.6);
      assert.equal(await session.renew("orders", "i-1"), true);
      await kit.elapse(kit.ttlMs * 0.6);
      await session.expectIds(["i-1", "i-2"], "orders", "the renewed lease counts");
      await kit.elapse(kit.ttlMs);
      await watcher.expect(["i-2"], "the lease that was not renewed is over");
      await watcher.stop();
    },
  },
  {
    name: "a watch tells changes only: neither renewals nor other apps",
    feature: "REGISTER",
    async run(kit) {
      const session = await kit.open();
      await session.register(instance("i-1", "orders"), kit.lastingMs);
      const watcher = session.watch("orders");
      await watcher.expect(["i-1"], "it is there");
      const before = watcher.count;
      for (let round = 0; round < 5; round++) assert.equal(await session.renew("orders", "i-1"), true);
      await session.register(instance("i-2", "billing"), kit.lastingMs);
      await session.register(instance("i-3", "orders"), kit.lastingMs);
      await watcher.expect(["i-1", "i-3"], "the change came");
      assert.equal(watcher.count, before + 1);
      await watcher.stop();
    },
  },
  {
    name: "a watch tells that an instance has changed: its address, version, zone and weight",
    feature: "REGISTER",
    async run(kit) {
      const [ours, theirs] = [await kit.open(), await kit.open()];
      await ours.register(instance("i-1", "orders"), kit.lastingMs);
      const watcher = theirs.watch("orders");
      await watcher.expect(["i-1"], "it is there");
      const changes = [{ weight: 0 }, { version: "v2" }, { zone: "eu-1b" }, { address: "10.0.0.9:3601" }, {}];
      for (const changed of changes) {
        const next = instance("i-1", "orders", changed);
        await ours.register(next);
        await eventually(() => assert.deepEqual(watcher.last, [next]));
      }
      await watcher.stop();
    },
  },
  {
    name: "every watch of an app is told, also while one begins and another ends",
    feature: "REGISTER",
    async run(kit) {
      const [ours, theirs] = [await kit.open(), await kit.open()];
      const [first, second, distant] = [ours.watch("orders"), ours.watch("orders"), theirs.watch("orders")];
      await ours.register(instance("i-1", "orders"), kit.lastingMs);
      for (const watcher of [first, second, distant]) await watcher.expect(["i-1"], "each is told");
      await first.stop();
      const late = ours.watch("orders");
      await theirs.register(instance("i-2", "orders"), kit.lastingMs);
      for (const watcher of [second, distant, late]) await watcher.expect(["i-1", "i-2"], "each that goes on is told");
      assert.equal(first.last?.length, 1, "one that has ended is not");
      for (const watcher of [second, distant, late]) await watcher.stop();
    },
  },
  {
    name: "a watch is told nothing of another namespace",
    feature: "REGISTER",
    async run(kit) {
      const session = await kit.open();
      const other = `${kit.namespace}-2`;
      const [here, there] = [session.watch("orders"), session.watch("orders", other)];
      await here.expect(undefined, "nobody knows the app here");
      await there.expect(undefined, "nor there");
      await session.register(instance("i-1", "orders"), kit.lastingMs, other);
      await there.expect(["i-1"], "it is there");
      await session.register(instance("i-2", "orders"), kit.lastingMs);
      await here.expect(["i-2"], "and another one here");
      assert.equal(here.count, 2, "unknown, then its own instance, and nothing between");
      await here.stop();
      await there.stop();
    },
  },
  {
    name: "a watch that begins tells an app without an instance from one that nobody knows",
    feature: "REGISTER",
    async run(kit) {
      const session = await kit.open();
      await session.register(instance("i-1", "orders"), kit.lastingMs);
      await session.deregister("orders", "i-1");
      const [known, unknown] = [session.watch("orders"), session.watch("nobody")];
      await known.expect([], "known, and down");
      await unknown.expect(undefined, "unknown");
      assert.deepEqual([known.count, unknown.count], [1, 1]);
      await known.stop();
      await unknown.stop();
    },
  },
  {
    name: "a change is told within 100 ms, whichever process made it",
    feature: "REGISTER",
    async run(kit) {
      const [ours, theirs] = [await kit.open(), await kit.open()];
      const watcher = ours.watch("orders");
      await watcher.expect(undefined, "nobody knows the app yet");
      const delaysMs: number[] = [];
      for (let round = 0; round < 10; round++) {
        const session = round % 2 === 0 ? ours : theirs;
        const ids = [`i-${round}`];
        for (const act of ["comes", "goes"] as const) {
          if (act === "comes") await session.register(instance(`i-${round}`, "orders"), kit.ttlMs * 10);
          else await session.deregister("orders", `i-${round}`);
          const done = performance.now();
          await watcher.expect(act === "comes" ? ids : [], `the instance ${act}`);
          delaysMs.push(watcher.toldAt - done);
        }
      }
      await watcher.stop();
      // One in four may have waited for a busy machine.
      const delayMs = delaysMs.sort((a, b) => a - b)[Math.floor(delaysMs.length * 0.75)] ?? 0;
      assert(delayMs < 100, `it took ${Math.round(delayMs)} ms`);
    },
  },
  {
    name: "the end of a lease is told when it ends, and within a second after",
    feature: "REGISTER",
    applies: ({ advance }) => advance === undefined,
    async run(kit) {
      const [ours, theirs] = [await kit.open(), await kit.open()];
      const watcher = ours.watch("orders");
      await watcher.expect(undefined, "nobody knows the app yet");
      const before = performance.now();
      await theirs.register(instance("i-1", "orders"), 1_500);
      const after = performance.now();
      await watcher.expect(["i-1"], "it is there");
      await watcher.expect([], "its lease is over");
      assert(watcher.toldAt >= before + 1_490, "not before its end");
      assert(watcher.toldAt < after + 2_500, `${Math.round(watcher.toldAt - after - 1_500)} ms after its end`);
      await watcher.stop();
    },
  },
  {
    name: "a watch ends when its signal aborts, and when it was aborted before",
    feature: "REGISTER",
    async run(kit) {
      const session = await kit.open();
      const watcher = session.watch("orders");
      await watcher.expect(undefined, "nobody knows the app yet");
      await watcher.stop();
      const before = watcher.count;
      await session.register(instance("i-1", "orders"), kit.lastingMs);
      assert.equal(watcher.count, before, "nothing comes after the end");
      const signal = AbortSignal.abort();
      for await (const _ of session.discovery.watch({ namespace: kit.namespace, app: "orders", signal })) {
        assert.fail("a watch that was aborted before it began tells nothing");
      }
    },
  },
];
