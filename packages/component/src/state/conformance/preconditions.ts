import assert from "node:assert/strict";
import type { StatePrecondition } from "../interface.js";
import { refused } from "./expect.js";
import type { CaseDefinition } from "./kit.js";
import { absent, check, etagIs, exists, remove, set } from "./session.js";

/** What preconditions refuse and for which reason, and that etags are never used again. */
export const preconditionCases: CaseDefinition[] = [
  {
    name: "preconditions: each holds or is refused for its reason, and a refused write changes nothing",
    async run(kit) {
      const state = await kit.open();
      const past = await state.set("present", "old");
      const present = await state.set("present", "value");
      const deleted = await state.set("absent", "value");
      await state.delete("absent");
      const refusals: [
        key: string,
        precondition: StatePrecondition,
        reason: "ETAG_MISMATCH" | "ALREADY_EXISTS" | "NOT_EXISTS",
      ][] = [
        ["present", etagIs(past), "ETAG_MISMATCH"],
        ["present", etagIs(deleted), "ETAG_MISMATCH"],
        ["present", etagIs("not-an-etag-of-this-store"), "ETAG_MISMATCH"],
        ["present", etagIs("'; --"), "ETAG_MISMATCH"],
        ["present", absent, "ALREADY_EXISTS"],
        ["absent", etagIs(deleted), "ETAG_MISMATCH"],
        ["absent", etagIs(present), "ETAG_MISMATCH"],
        ["absent", etagIs("0"), "ETAG_MISMATCH"],
        ["absent", exists, "NOT_EXISTS"],
      ];
      for (const [key, precondition, reason] of refusals) {
        const metadata = { key, operation_index: "0" };
        await refused(state.set(key, "new", { precondition }), reason, metadata);
        if (precondition.type !== "absent") await refused(state.delete(key, precondition), reason, metadata);
      }
      assert.equal((await state.item("present")).etag, present);
      assert.equal(await state.text("present"), "value");
      assert.equal(await state.get("absent"), undefined);
    },
  },
  {
    name: "preconditions: a write whose precondition holds is done",
    async run(kit) {
      const state = await kit.open();
      const created = await state.set("key", "1", { precondition: absent });
      const changed = await state.set("key", "2", { precondition: etagIs(created) });
      await state.set("key", "3", { precondition: exists });
      await refused(state.set("key", "4", { precondition: etagIs(changed) }), "ETAG_MISMATCH");
      assert.equal(await state.text("key"), "3");
      const { etag } = await state.item("key");
      assert.equal(await state.delete("key", etagIs(etag)), true);
      await state.set("key", "5", { precondition: absent });
      assert.equal(await state.delete("key", exists), true);
      assert.equal(await state.get("key"), undefined);
    },
  },
  {
    name: "etags: every write has one of its own, also after a deletion",
    async run(kit) {
      const [first, second] = await kit.pair();
      const seen = new Set<string>();
      for (let round = 0; round < 20; round++) {
        for (const state of [first, second]) {
          const etag = await state.set("key", "same value");
          assert(etag.length > 0 && !seen.has(etag), `etag ${etag} was used before`);
          assert.equal((await first.item("key")).etag, etag);
          seen.add(etag);
        }
        if (round % 2 === 1) await first.delete("key");
      }
    },
  },
  {
    name: "etags: none is used again after a restart",
    async run(kit) {
      const seen = new Set<string>();
      for (let round = 0; round < 3; round++) {
        const component = await kit.component();
        const state = kit.session(component);
        for (let write = 0; write < 5; write++) {
          const etag = await state.set("key", "same value");
          assert(!seen.has(etag), `etag ${etag} was used before the restart`);
          seen.add(etag);
        }
        await state.delete("key");
        await kit.close(component);
      }
    },
  },
  {
    name: "transactions: all is done, and told in order",
    feature: "TRANSACT",
    async run(kit) {
      const state = await kit.open();
      const guard = await state.set("guard", "g");
      await state.set("old", "o");
      const results = await state.write([
        set("a", "1"),
        remove("old"),
        check("guard", etagIs(guard)),
        remove("never-there"),
        set("b", "", { precondition: absent }),
        check("none", absent),
      ]);
      const [a, b] = [await state.item("a"), await state.item("b")];
      assert.deepEqual(results, [
        { type: "set", etag: a.etag },
        { type: "delete", existed: true },
        { type: "check" },
        { type: "delete", existed: false },
        { type: "set", etag: b.etag },
        { type: "check" },
      ]);
      assert.equal((await state.item("guard")).etag, guard, "a check leaves its key as it is");
      assert.deepEqual(await state.keys(), ["a", "b", "guard"]);
    },
  },
  {
    name: "transactions: nothing is done when one operation is refused, and the lowest failing one is named",
    feature: "TRANSACT",
    async run(kit) {
      const state = await kit.open();
      await state.set("kept", "before");
      const { etag } = await state.item("kept");
      const others = [set("new", "x"), set("kept", "after")];
      // The keys fail in another order than their own, so that neither key order nor the kind of operation decides.
      const fails = {
        mismatch: set("z", "", { precondition: etagIs("stale") }),
        missing: check("y", exists),
        taken: check("kept-too", absent),
        gone: remove("x", exists),
      };
      await state.set("kept-too", "");
      const expect = (
        operations: Parameters<typeof state.write>[0],
        reason: "ETAG_MISMATCH" | "NOT_EXISTS" | "ALREADY_EXISTS",
        index: number,
      ) =>
        refused(state.write(operations), reason, {
          key: operations[index]?.key ?? "",
          operation_index: String(index),
        });
      await expect([...others, fails.mismatch, fails.missing, fails.taken], "ETAG_MISMATCH", 2);
      await expect([fails.missing, ...others, fails.mismatch], "NOT_EXISTS", 0);
      await expect([...others, check("kept", exists), fails.taken, fails.gone].toSpliced(1, 1), "ALREADY_EXISTS", 2);
      await expect([...others, fails.gone, fails.mismatch], "NOT_EXISTS", 2);
      const many = Array.from({ length: 120 }, (_, index) => set(`many-${119 - index}`));
      await expect([...many, fails.taken, fails.gone], "ALREADY_EXISTS", 120);
      assert.deepEqual(await state.keys(), ["kept", "kept-too"]);
      assert.equal((await state.item("kept")).etag, etag);
    },
  },
];
