import assert from "node:assert/strict";
import { alongside, eventually } from "./expect.js";
import type { CaseDefinition } from "./kit.js";
import { remove, type StateSession, set } from "./session.js";
import type { WatchReader } from "./watch-reader.js";

/** What a watch reports, while nothing interrupts it. */
export const watchCases: CaseDefinition[] = [
  {
    name: "watch: what is there, then synced, then changes",
    feature: "WATCH",
    async run(kit) {
      const [state, other] = await kit.pair();
      await state.set("a", "1");
      const etag = await state.set("b", "", { contentType: "text/html" });
      await state.set("gone", "");
      await state.delete("gone");
      const watch = other.watch({ prefix: "" });
      await watch.untilSynced();
      assert.deepEqual(
        watch.changes.map(({ type }) => type),
        ["item", "item", "synced"],
      );
      const { updateTime } = await state.item("b");
      const seen = watch.view.get("b");
      assert.deepEqual(
        { ...seen, value: seen?.value.byteLength },
        {
          key: "b",
          value: 0,
          contentType: "text/html",
          etag,
          expireTime: undefined,
          updateTime,
        },
      );
      await state.set("c", "3");
      await watch.until("the new key is reported", () => watch.view.has("c"));
      assert.equal(Buffer.from(watch.view.get("c")?.value ?? []).toString(), "3");
      await state.delete("a");
      assert.equal((await watch.untilDeleted("a")).expired, false);
      await watch.untilCurrent();
    },
  },
  {
    name: "watch: an absent key is synced, created, changed, deleted and created again",
    feature: "WATCH",
    async run(kit) {
      const [state, other] = await kit.pair();
      const watch = other.watch({ key: "key" });
      await watch.untilSynced();
      assert.deepEqual(
        watch.changes.map(({ type }) => type),
        ["synced"],
      );
      for (const value of ["1", "2"]) {
        const etag = await state.set("key", value);
        await watch.until(`${value} is reported`, () => watch.view.get("key")?.etag === etag);
      }
      await state.delete("key");
      await watch.untilDeleted("key");
      const etag = await state.set("key", "3");
      await watch.until("3 is reported", () => watch.view.get("key")?.etag === etag);
    },
  },
  {
    name: "watch: a key is that key alone, a prefix is bytes and no pattern",
    feature: "WATCH",
    async run(kit) {
      const component = await kit.component();
      const state = kit.session(component);
      const neighbour = kit.session(component, `${kit.keyspace}/neighbour`);
      const targets = [
        { key: "a" },
        { key: "a%" },
        { prefix: "a" },
        { prefix: "a%" },
        { prefix: "a_" },
        { prefix: "" },
      ];
      targets.push({ prefix: "\\" }, { prefix: "[a]" }, { prefix: "*" }, { key: "*" }, { prefix: "\u{10ffff}" });
      const write = async (value: string) => {
        for (const key of ["a", "a%", "a_", "ab", "a%b", "A", "b", "\\", "\\a", "[a]", "*", "*a", "\u{10ffff}z"])
          await state.set(key, value);
        await neighbour.set("a", value);
      };
      await write("1");
      // Each reader fails on a key that is not its own, and must end up with all that are.
      const watches = targets.map((target) => state.watch(target as { key: string } | { prefix: string }));
      for (const watch of watches) await watch.untilCurrent();
      await write("2");
      for (const watch of watches) await watch.untilCurrent();
      await state.delete("a");
      for (const watch of watches) await watch.untilCurrent();
    },
  },
  {
    name: "watch: writes that change nothing are not reported",
    feature: "WATCH",
    async run(kit) {
      const state = await kit.open();
      await state.set("key", "v");
      const watch = state.watch({ prefix: "" });
      await watch.untilSynced();
      await state.delete("never-there");
      await state.set("key", "w", { precondition: { type: "absent" } }).catch(() => {});
      await state.set("last", "");
      await watch.until("a later write is reported", () => watch.view.has("last"));
      assert.deepEqual(watch.of("never-there"), []);
      assert.equal(watch.of("key").length, 1);
    },
  },
  {
    name: "watch: every part of a transaction is reported",
    feature: "WATCH",
    applies: ({ features }) => features.includes("TRANSACT"),
    async run(kit) {
      const [state, other] = await kit.pair();
      await state.set("old", "");
      const watch = other.watch({ prefix: "" });
      await watch.untilSynced();
      await state.write([remove("old"), ...Array.from({ length: 100 }, (_, index) => set(`key-${index}`, "v"))]);
      await watch.untilCurrent();
      assert.equal(watch.view.size, 100);
    },
  },
  {
    name: "watch: more keys than a batch holds are all reported",
    feature: "WATCH",
    async run(kit) {
      const state = await kit.open();
      const keys = Array.from({ length: 1_200 }, (_, index) => `key-${index}`);
      await Promise.all(keys.map((key) => state.set(key, key)));
      const watch = state.watch({ prefix: "key-" });
      await watch.untilSynced();
      assert.equal(watch.view.size, keys.length);
      assert.equal(watch.changes.length, keys.length + 1, "each is reported once");
      await Promise.all(keys.map((key) => (key.endsWith("7") ? state.delete(key) : state.set(key, "new"))));
      await watch.untilCurrent();
    },
  },
  {
    name: "watch: a slow reader gets the last state, not every change",
    feature: "WATCH",
    async run(kit) {
      const state = await kit.open();
      await state.set("busy", "start");
      const controller = new AbortController();
      const { keyspace, store } = state;
      const call = { keyspace, target: { prefix: "" }, resumeToken: undefined, signal: controller.signal };
      const batches = store.watch(call)[Symbol.asyncIterator]();
      const next = async () => {
        const { value, done } = await batches.next();
        assert(!done, "the watch ended before it reported everything");
        return value;
      };
      while (!(await next()).some(({ type }) => type === "synced"));
      const writes = 1_000;
      let last = "";
      for (let round = 0; round < writes; round++) last = await state.set("busy", String(round));
      let reported = 0;
      for (let etag: string | undefined; etag !== last; ) {
        const batch = await next();
        reported += batch.length;
        etag = batch.findLast((change) => change.type === "item")?.item.etag;
      }
      controller.abort();
      await batches.return?.();
      assert(reported < writes / 2, `${reported} changes were kept for ${writes} writes to one key`);
    },
  },
  {
    name: "watch: 100 watchers all end up with what is there",
    feature: "WATCH",
    async run(kit) {
      const [state, other] = await kit.pair();
      const watches = Array.from({ length: 100 }, (_, index) => {
        const group = `${index % 10}/`;
        return (index % 2 === 0 ? state : other).watch(index < 50 ? { prefix: group } : { key: `${group}key` });
      });
      for (const watch of watches) await watch.untilSynced();
      for (let round = 0; round < 3; round++) {
        const groups = Array.from({ length: 10 }, (_, group) => group);
        await Promise.all(
          groups.flatMap((group) => [state.set(`${group}/key`, String(round)), other.set(`${group}/${round}`)]),
        );
      }
      await state.delete("3/key");
      await Promise.all(watches.map((watch) => watch.untilCurrent()));
    },
  },
  {
    name: "watch: a watch that begins while others write misses nothing",
    feature: "WATCH",
    async run(kit) {
      const [state, other] = await kit.pair();
      const watches: WatchReader[] = [];
      const writer = async (store: StateSession, step: number, over: () => boolean) => {
        for (let round = 0; !over(); round++) {
          const key = `key-${(round * step) % 23}`;
          await (round % 4 === 3 ? store.delete(key) : store.set(key, String(round)));
          await new Promise(setImmediate);
        }
      };
      await alongside(
        (over) => Promise.all([writer(state, 5, over), writer(other, 7, over)]),
        async () => {
          for (let count = 0; count < 12; count++) {
            const watch = (count % 2 === 0 ? state : other).watch({ prefix: "key-" });
            watches.push(watch);
            // The first ones begin one after the other, the rest at once.
            if (count < 6) await watch.untilSynced();
          }
        },
      );
      for (const watch of watches) await watch.untilCurrent();
    },
  },
  {
    name: "watch: ends without an error when its caller goes, before and after it is synced",
    feature: "WATCH",
    async run(kit) {
      const state = await kit.open();
      await state.set("key", "v");
      const { keyspace, store } = state;
      const gone = store.watch({
        keyspace,
        target: { prefix: "" },
        resumeToken: undefined,
        signal: AbortSignal.abort(),
      });
      for await (const _ of gone) assert.fail("a watch whose caller is gone reports nothing");
      const watch = state.watch({ prefix: "" });
      await watch.untilSynced();
      await watch.stop();
      const reported = watch.changes.length;
      await state.set("key", "w");
      const later = state.watch({ key: "key" });
      await later.untilSynced();
      assert.equal(watch.changes.length, reported, "a watch that was stopped reports nothing more");
    },
  },
  {
    name: "watch: a reader that leaves its loop releases the watch",
    feature: "WATCH",
    async run(kit) {
      const component = await kit.component();
      const state = kit.session(component);
      await state.set("key", "v");
      const { keyspace, store } = state;
      const { signal } = new AbortController();
      for await (const batch of store.watch({ keyspace, target: { prefix: "" }, resumeToken: undefined, signal })) {
        assert(batch.length > 0);
        break;
      }
      // A watch that was not released would keep the component from closing.
      let closed = false;
      void kit.close(component).then(() => {
        closed = true;
      });
      await eventually("the component closes", () => closed);
    },
  },
];
