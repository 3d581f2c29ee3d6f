import assert from "node:assert/strict";
import { type CaseDefinition, instance } from "./kit.js";

/** What a watch promises where instances register. */
export const watches: CaseDefinition[] = [
  {
    name: "a watch tells what is there, what comes and what goes, whichever process does it",
    feature: "REGISTER",
    async run(kit) {
      const [ours, theirs] = [await kit.open(), await kit.open()];
      const watcher = ours.watch("orders");
      await watcher.expect(undefined, "nobody knows the app yet");
      await theirs.register(instance("i-1", "orders"));
      await watcher.expect(["i-1"], "another process registered");
      await ours.register(instance("i-2", "orders"));
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
      await session.register(instance("i-1", "orders"));
      const watcher = session.watch("orders");
      await watcher.expect(["i-1"], "it is there");
      const before = watcher.count;
      for (let round = 0; round < 5; round++) assert.equal(await session.renew("orders", "i-1"), true);
      await session.register(instance("i-2", "billing"));
      await session.register(instance("i-3", "orders"));
      await watcher.expect(["i-1", "i-3"], "the change came");
      assert.equal(watcher.count, before + 1);
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
      await session.register(instance("i-1", "orders"));
      assert.equal(watcher.count, before, "nothing comes after the end");
      const signal = AbortSignal.abort();
      for await (const _ of session.discovery.watch({ namespace: kit.namespace, app: "orders", signal })) {
        assert.fail("a watch that was aborted before it began tells nothing");
      }
    },
  },
];
