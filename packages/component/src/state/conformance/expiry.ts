import assert from "node:assert/strict";
import { eventually, refused } from "./expect.js";
import { type CaseDefinition, turnsClock } from "./kit.js";
import { absent, etagIs, exists, set } from "./session.js";

/** Items that run out of time. */
export const expiryCases: CaseDefinition[] = [
  {
    name: "expiry: an item says when it expires, and is there until then",
    feature: "TTL",
    async run(kit) {
      const state = await kit.open();
      await state.set("key", "v", { ttlMs: 3_600_000 });
      const item = await state.item("key");
      assert.equal((item.expireTime ?? 0) - item.updateTime, 3_600_000);
      assert.equal((await state.getMany(["key"]))[0]?.expireTime, item.expireTime);
      assert.equal((await state.list()).items[0]?.expireTime, item.expireTime);
    },
  },
  {
    name: "expiry: an item is there one ms before its time and gone at it",
    feature: "TTL",
    applies: turnsClock,
    async run(kit) {
      const state = await kit.open();
      await state.set("key", "v", { ttlMs: 60_000 });
      await kit.harness.advance?.(59_999);
      assert.equal(await state.text("key"), "v");
      assert.deepEqual(await state.keys(), ["key"]);
      await kit.harness.advance?.(1);
      assert.equal(await state.get("key"), undefined);
      assert.deepEqual(await state.keys(), []);
    },
  },
  {
    name: "expiry: past its time an item is absent for every read and precondition",
    feature: "TTL",
    async run(kit) {
      const [state, other] = await kit.pair();
      const names = ["a", "b", "c", "d", "e"];
      const etags = await Promise.all(names.map((key) => state.set(key, "v", { ttlMs: kit.ttlMs })));
      await state.set("f", "stays");
      const { expireTime } = await state.item("e");
      assert(expireTime !== undefined);
      await kit.reach(state, Math.max(...(await state.getMany(names)).map((item) => item.expireTime ?? 0), expireTime));
      for (const reader of [state, other]) {
        assert.equal(await reader.get("a"), undefined);
        assert.deepEqual(
          (await reader.getMany([...names, "f"])).map(({ key }) => key),
          ["f"],
        );
        assert.deepEqual(
          (await reader.list()).items.map(({ key }) => key),
          ["f"],
        );
        assert.deepEqual(
          (await reader.list({ keysOnly: true, limit: 1 })).items.map(({ key }) => key),
          ["f"],
        );
      }
      assert.equal(await state.delete("a"), false);
      await refused(state.set("b", "", { precondition: etagIs(etags[1] ?? "") }), "ETAG_MISMATCH");
      await refused(state.set("b", "", { precondition: exists }), "NOT_EXISTS");
      await refused(state.delete("c", etagIs(etags[2] ?? "")), "ETAG_MISMATCH");
      const created = await state.set("d", "again", { precondition: absent });
      assert(!etags.includes(created), "the etag of an expired item was used again");
      assert.equal((await other.item("d")).expireTime, undefined);
    },
  },
  {
    name: "expiry: a write without a time to live clears the one before, and one with it sets it anew",
    feature: "TTL",
    async run(kit) {
      const state = await kit.open();
      for (const key of ["cleared", "extended", "expires"]) await state.set(key, "v", { ttlMs: kit.ttlMs });
      const { expireTime } = await state.item("expires");
      assert(expireTime !== undefined);
      await state.set("cleared", "v");
      await state.set("extended", "v", { ttlMs: 3_600_000 });
      assert.equal((await state.item("cleared")).expireTime, undefined);
      await kit.reach(state, expireTime);
      assert.deepEqual(await state.keys(), ["cleared", "extended"]);
    },
  },
  {
    name: "expiry: a watch reports it within a second, and a deletion as a deletion",
    feature: "WATCH",
    applies: ({ features }) => features.includes("TTL"),
    async run(kit) {
      const [state, other] = await kit.pair();
      const watch = other.watch({ prefix: "" });
      await watch.untilSynced();
      for (const key of ["expires", "cleared", "replaced"]) await state.set(key, "v", { ttlMs: kit.ttlMs });
      await state.set("deleted", "v", { ttlMs: 3_600_000 });
      const { expireTime } = await state.item("expires");
      assert(expireTime !== undefined);
      await Promise.all([
        state.set("cleared", "v"),
        state.set("replaced", "v", { ttlMs: 3_600_000 }),
        state.delete("deleted"),
      ]);
      await kit.reach(state, expireTime);
      await kit.harness.advance?.(1_000);
      assert.equal((await watch.untilDeleted("expires", 1_000)).expired, true);
      assert.equal((await watch.untilDeleted("deleted")).expired, false);
      await watch.untilCurrent();
      assert.deepEqual(new Set(watch.view.keys()), new Set(["cleared", "replaced"]));
    },
  },
  {
    name: "expiry: a resumed watch reports what expired meanwhile",
    feature: "WATCH",
    applies: ({ features }) => features.includes("TTL"),
    async run(kit) {
      const state = await kit.open();
      await state.set("expires", "v", { ttlMs: kit.ttlMs });
      await state.set("stays", "v");
      const { expireTime } = await state.item("expires");
      assert(expireTime !== undefined);
      const first = state.watch({ prefix: "" });
      await first.untilSynced();
      await first.stop();
      assert.deepEqual(new Set(first.view.keys()), new Set(["expires", "stays"]));
      await kit.reach(state, expireTime);
      await kit.harness.advance?.(1_000);
      assert(first.resumeToken !== undefined);
      const second = state.watch({ prefix: "" }, { resumeToken: first.resumeToken, view: first.view });
      assert.equal((await second.untilDeleted("expires")).expired, true);
      await second.untilCurrent();
    },
  },
  {
    name: "expiry: many items that expire at once are all gone and all reported",
    feature: "WATCH",
    applies: ({ features }) => features.includes("TTL") && features.includes("TRANSACT"),
    async run(kit) {
      const state = await kit.open();
      const watch = state.watch({ prefix: "" });
      await watch.untilSynced();
      const keys = Array.from({ length: 100 }, (_, index) => `key-${index}`);
      await state.write(keys.map((key) => set(key, "v", { ttlMs: kit.ttlMs })));
      const { expireTime } = await state.item("key-0");
      await watch.until("all items are reported", () => keys.every((key) => watch.of(key).length > 0));
      await kit.reach(state, expireTime ?? 0);
      await kit.harness.advance?.(1_000);
      await eventually("all are reported as expired", () => watch.view.size === 0, 1_000);
      assert.deepEqual(await state.keys(), []);
    },
  },
];
