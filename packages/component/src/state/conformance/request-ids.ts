import assert from "node:assert/strict";
import { stateLimits } from "../features.js";
import { refused } from "./expect.js";
import { type CaseDefinition, survivesRestart, turnsClock } from "./kit.js";
import { absent, check, etagIs, exists, remove, set } from "./session.js";

const requestId = (id: string, fingerprint = `digest of ${id}`) => ({ id, fingerprint });

/** Writes that are sent again. */
export const requestIdCases: CaseDefinition[] = [
  {
    name: "request ids: a write that is sent again gets its first answer and does nothing",
    async run(kit) {
      const [state, other] = await kit.pair();
      const etag = await state.set("key", "first", { requestId: requestId("set") });
      const later = await state.set("key", "later");
      assert.equal(await other.set("key", "first", { requestId: requestId("set") }), etag);
      assert.equal((await state.item("key")).etag, later);
      assert.equal(await state.text("key"), "later");

      assert.equal(await state.delete("key", undefined, requestId("delete")), true);
      await state.set("key", "again");
      assert.equal(await other.delete("key", undefined, requestId("delete")), true);
      assert.equal(await state.text("key"), "again");

      assert.equal(await state.delete("later", undefined, requestId("nothing")), false);
      await state.set("later", "there now");
      assert.equal(await other.delete("later", undefined, requestId("nothing")), false);
      assert.equal(await state.text("later"), "there now");
    },
  },
  {
    name: "request ids: the first answer comes back even when its precondition holds no more",
    async run(kit) {
      const state = await kit.open();
      const created = await state.set("key", "1", { precondition: absent, requestId: requestId("create") });
      const changed = await state.set("key", "2", { precondition: etagIs(created), requestId: requestId("change") });
      assert.equal(await state.set("key", "1", { precondition: absent, requestId: requestId("create") }), created);
      assert.equal(
        await state.set("key", "2", { precondition: etagIs(created), requestId: requestId("change") }),
        changed,
      );
      assert.equal(await state.delete("key", exists, requestId("delete")), true);
      assert.equal(await state.delete("key", exists, requestId("delete")), true);
      assert.equal(await state.get("key"), undefined);
    },
  },
  {
    name: "request ids: a transaction that is sent again gets all of its first answer",
    feature: "TRANSACT",
    async run(kit) {
      const state = await kit.open();
      await state.set("old", "");
      const send = () =>
        state.write([set("a", "1"), remove("old"), remove("none"), check("guard", absent)], requestId("transaction"));
      const first = await send();
      await state.write([set("a", "2"), set("old", "back"), set("guard", "")]);
      assert.deepEqual(await send(), first);
      assert.equal(await state.text("a"), "2");
      assert.equal(await state.text("old"), "back");
    },
  },
  {
    name: "request ids: of duplicates that race one acts, and all get its answer",
    async run(kit) {
      const [a, b] = await kit.pair();
      for (let round = 0; round < 5; round++) {
        const etags = await Promise.all(
          Array.from({ length: 16 }, (_, n) =>
            (n % 2 === 0 ? a : b).set(`key-${round}`, "v", {
              precondition: absent,
              requestId: requestId(`id-${round}`),
            }),
          ),
        );
        assert.deepEqual(new Set(etags).size, 1);
        assert.equal((await b.item(`key-${round}`)).etag, etags[0]);
      }
    },
  },
  {
    name: "request ids: the same id for another request is refused",
    async run(kit) {
      const state = await kit.open();
      const etag = await state.set("key", "v", { requestId: requestId("id", "one") });
      await refused(state.set("key", "w", { requestId: requestId("id", "two") }), "BAD_REQUEST");
      await refused(state.delete("other", undefined, requestId("id", "three")), "BAD_REQUEST");
      assert.equal((await state.item("key")).etag, etag);
    },
  },
  {
    name: "request ids: a refused write is not remembered",
    async run(kit) {
      const state = await kit.open();
      const update = (fingerprint: string) =>
        state.set("key", "v", { precondition: exists, requestId: requestId("id", fingerprint) });
      await refused(update("one"), "NOT_EXISTS");
      await refused(update("two"), "NOT_EXISTS");
      await state.set("key", "there now");
      const etag = await update("one");
      assert.equal(await state.text("key"), "v");
      assert.equal(await update("one"), etag);
    },
  },
  {
    name: "request ids: each keyspace has its own",
    async run(kit) {
      const component = await kit.component();
      const [one, two] = [kit.session(component, `${kit.keyspace}/1`), kit.session(component, `${kit.keyspace}/2`)];
      await one.set("key", "one", { requestId: requestId("id", "one") });
      await two.set("key", "two", { requestId: requestId("id", "two") });
      assert.deepEqual([await one.text("key"), await two.text("key")], ["one", "two"]);
      assert.deepEqual(await one.keys(), ["key"], "what is remembered is not listed");
    },
  },
  {
    name: "request ids: a restart forgets none",
    applies: survivesRestart,
    async run(kit) {
      const component = await kit.component();
      const etag = await kit.session(component).set("key", "v", { precondition: absent, requestId: requestId("id") });
      await kit.close(component);
      const state = await kit.open();
      assert.equal(await state.set("key", "v", { precondition: absent, requestId: requestId("id") }), etag);
      await refused(state.set("key", "w", { requestId: requestId("id", "another") }), "BAD_REQUEST");
    },
  },
  {
    name: "request ids: one is remembered for ten minutes, and not for ever",
    applies: turnsClock,
    async run(kit) {
      const state = await kit.open();
      const etag = await state.set("key", "v", { requestId: requestId("id") });
      await kit.harness.advance?.(stateLimits.requestIdTtlMs - 1);
      assert.equal(await state.set("key", "v", { requestId: requestId("id") }), etag);
      await kit.harness.advance?.(stateLimits.requestIdTtlMs);
      const anew = await state.set("key", "w", { requestId: requestId("id", "another request") });
      assert.notEqual(anew, etag);
      assert.equal(await state.text("key"), "w");
    },
  },
];
