import assert from "node:assert/strict";
import { ComponentError } from "../../errors.js";
import { eventually, refused } from "./expect.js";
import { type CaseDefinition, survivesRestart } from "./kit.js";
import { set } from "./session.js";

/** What a component declares, how it starts and stops, and callers that go away. */
export const lifecycleCases: CaseDefinition[] = [
  {
    name: "lifecycle: declares the features and the durability that its configuration backs, and is healthy",
    async run(kit) {
      const component = await kit.component();
      const { store } = kit.session(component);
      assert.deepEqual(new Set(store.features), new Set(kit.harness.features));
      assert.equal(store.durability, kit.harness.durability);
      await component.health(AbortSignal.timeout(5_000));
    },
  },
  {
    name: "lifecycle: a restart keeps everything as it was",
    applies: survivesRestart,
    async run(kit) {
      const component = await kit.component();
      const before = kit.session(component);
      await before.set("deleted", "v");
      await before.set("kept", "value", { contentType: "text/html" });
      if (kit.harness.features.includes("TTL")) await before.set("timed", "v", { ttlMs: 3_600_000 });
      await before.delete("deleted");
      const { items } = await before.list();
      await kit.close(component);
      const after = await kit.open();
      assert.deepEqual((await after.list()).items, items);
      assert.equal(await after.get("deleted"), undefined);
    },
  },
  {
    name: "lifecycle: components that open the same storage at once all serve it",
    applies: (harness) => harness.shared,
    async run(kit) {
      const states = await Promise.all(Array.from({ length: 4 }, () => kit.open()));
      await Promise.all(states.map((state, index) => state.set(`key-${index}`, "v")));
      for (const state of states) assert.equal((await state.keys()).length, states.length);
    },
  },
  {
    name: "lifecycle: closing finishes the writes in flight",
    async run(kit) {
      const component = await kit.component();
      const state = kit.session(component);
      const writes = Array.from({ length: 32 }, (_, index) => state.set(`key-${index}`, "v"));
      const [etags] = await Promise.all([Promise.all(writes), kit.close(component)]);
      if (!survivesRestart(kit.harness)) return;
      const items = await (await kit.open()).getMany(writes.map((_, index) => `key-${index}`));
      assert.deepEqual(
        items.map(({ etag }) => etag),
        etags,
      );
    },
  },
  {
    name: "lifecycle: closing ends the watches, without an error",
    feature: "WATCH",
    async run(kit) {
      const component = await kit.component();
      const state = kit.session(component);
      await state.set("key", "v");
      const watches = [state.watch({ prefix: "" }), state.watch({ key: "key" }), state.watch({ key: "none" })];
      for (const watch of watches) await watch.untilSynced();
      await kit.close(component);
      for (const watch of watches) await watch.end();
    },
  },
  {
    name: "lifecycle: after closing every call is refused as COMPONENT_UNAVAILABLE",
    async run(kit) {
      const component = await kit.component();
      const state = kit.session(component);
      await state.set("key", "v");
      await kit.close(component);
      await refused(state.get("key"), "COMPONENT_UNAVAILABLE");
      await refused(state.getMany(["key"]), "COMPONENT_UNAVAILABLE");
      await refused(state.list(), "COMPONENT_UNAVAILABLE");
      await refused(state.set("key", "w"), "COMPONENT_UNAVAILABLE");
      if (state.store.features.includes("WATCH")) await state.watch({ key: "key" }).refused("COMPONENT_UNAVAILABLE");
    },
  },
  {
    name: "callers: a write whose caller is gone already is not done",
    async run(kit) {
      const state = await kit.open();
      const reason = new ComponentError("CANCELED", "the caller went away");
      await refused(state.write([set("key", "v")], undefined, AbortSignal.abort(reason)), "CANCELED");
      assert.equal(await state.get("key"), undefined);
    },
  },
  {
    name: "callers: one that goes away during its calls disturbs no other",
    async run(kit) {
      const state = await kit.open();
      const controller = new AbortController();
      const reason = new ComponentError("CANCELED", "the caller went away");
      const calls = Array.from({ length: 20 }, (_, index) =>
        state.write([set(`left-${index}`)], undefined, controller.signal),
      );
      const stays = Array.from({ length: 20 }, (_, index) => state.set(`stays-${index}`));
      controller.abort(reason);
      let settled: PromiseSettledResult<unknown>[] = [];
      void Promise.allSettled(calls).then((results) => {
        settled = results;
      });
      await eventually("the calls that were left are settled", () => settled.length > 0, 1_000);
      for (const [index, result] of settled.entries()) {
        if (result.status === "fulfilled") assert(await state.get(`left-${index}`), "an answered write is there");
        else
          assert(
            result.reason === reason ||
              (result.reason instanceof ComponentError && result.reason.reason === "OUTCOME_UNKNOWN"),
          );
      }
      await Promise.all(stays);
      assert.equal((await state.keys("stays-")).length, stays.length);
    },
  },
];
