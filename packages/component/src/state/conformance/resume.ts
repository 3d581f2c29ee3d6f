import assert from "node:assert/strict";
import type { StateItem } from "../interface.js";
import { alongside } from "./expect.js";
import { type CaseDefinition, survivesRestart } from "./kit.js";
import { remove, type StateSession, set } from "./session.js";
import type { WatchReader } from "./watch-reader.js";

const fill = async (state: StateSession, keys: readonly string[]) => {
  for (const key of keys) await state.set(key, "v");
};

/** Stops a watch and goes on from its last token, with what it knew. */
async function goOn(from: WatchReader, session: StateSession): Promise<WatchReader> {
  await from.stop();
  assert(from.resumeToken !== undefined, "the watch gave a resume token");
  return session.watch(from.target, { resumeToken: from.resumeToken, view: from.view });
}

/** What a client knows that received a watch's first `count` changes. */
function knownAfter(watch: WatchReader, count: number): { resumeToken: string; view: Map<string, StateItem> } {
  const view = new Map<string, StateItem>();
  const received = watch.changes.slice(0, count);
  for (const change of received) {
    if (change.type === "item") view.set(change.item.key, change.item);
    if (change.type === "deleted") view.delete(change.key);
  }
  return { resumeToken: received.at(-1)?.resumeToken ?? "", view };
}

/** Going on after a watch was interrupted. */
export const resumeCases: CaseDefinition[] = [
  {
    name: "resume: reports what was created, changed and deleted meanwhile, and nothing else",
    feature: "WATCH",
    async run(kit) {
      const [state, other] = await kit.pair();
      await fill(state, ["changed", "deleted", "recreated", "same-1", "same-2"]);
      const first = state.watch({ prefix: "" });
      await first.untilSynced();
      await first.stop();
      await state.set("changed", "w");
      await state.set("created", "v");
      await other.delete("deleted");
      await other.delete("recreated");
      await state.set("recreated", "again");
      await state.set("came", "and went");
      await state.delete("came");
      const second = await goOn(first, other);
      await second.untilSynced();
      const before = second.changes.slice(
        0,
        second.changes.findIndex(({ type }) => type === "synced"),
      );
      const reported = new Set(
        before.map((change) => (change.type === "item" ? change.item.key : change.type === "deleted" && change.key)),
      );
      for (const key of ["changed", "created", "deleted", "recreated"])
        assert(reported.has(key), `${key} is reported before synced`);
      for (const key of ["same-1", "same-2"]) assert.deepEqual(second.of(key), [], `${key} did not change`);
      await second.untilCurrent();
      assert.deepEqual(new Set(second.view.keys()), new Set(["changed", "created", "recreated", "same-1", "same-2"]));
    },
  },
  {
    name: "resume: one key",
    feature: "WATCH",
    async run(kit) {
      const state = await kit.open();
      await fill(state, ["key", "key2"]);
      const first = state.watch({ key: "key" });
      await first.untilSynced();
      await first.stop();
      await fill(state, ["key2"]);
      const second = await goOn(first, state);
      await second.untilSynced();
      assert.deepEqual(
        second.changes.map(({ type }) => type),
        ["synced"],
        "nothing happened to the key",
      );
      await second.stop();
      await state.delete("key");
      const third = await goOn(second, state);
      await third.untilDeleted("key");
      await third.untilCurrent();
    },
  },
  {
    name: "resume: from every token of what was there, with deletions behind it",
    feature: "WATCH",
    async run(kit) {
      const state = await kit.open();
      await fill(state, ["a", "b", "c", "d", "e", "f"]);
      const first = state.watch({ prefix: "" });
      await first.untilSynced();
      await first.stop();
      await state.delete("a");
      await state.set("b", "changed");
      await state.delete("f");
      await state.set("aa", "new");
      for (let count = 1; count <= first.changes.length; count++) {
        const watch = state.watch({ prefix: "" }, knownAfter(first, count));
        await watch.untilCurrent();
        await watch.stop();
      }
    },
  },
  {
    name: "resume: from every token of later changes, also within a transaction",
    feature: "WATCH",
    applies: ({ features }) => features.includes("TRANSACT"),
    async run(kit) {
      const [state, other] = await kit.pair();
      await fill(state, ["a", "b", "c"]);
      const first = other.watch({ prefix: "" });
      await first.untilSynced();
      await state.write([set("d"), remove("a"), set("b", "changed"), set("e"), remove("c")]);
      await first.untilCurrent();
      await state.write([set("a", "back"), remove("d")]);
      await first.untilCurrent();
      await first.stop();
      for (let count = 4; count <= first.changes.length; count++) {
        const watch = state.watch({ prefix: "" }, knownAfter(first, count));
        await watch.untilCurrent();
        await watch.stop();
      }
    },
  },
  {
    name: "resume: again and again while others write, and nothing is missed",
    feature: "WATCH",
    async run(kit) {
      const [state, other] = await kit.pair();
      const writer = async (store: StateSession, step: number, over: () => boolean) => {
        for (let round = 0; !over(); round++) {
          const key = `key-${(round * step) % 17}`;
          await (round % 3 === 2 ? store.delete(key) : store.set(key, String(round)));
          await new Promise(setImmediate);
        }
      };
      let watch = state.watch({ prefix: "key-" });
      await alongside(
        (over) => Promise.all([writer(state, 5, over), writer(other, 7, over)]),
        async () => {
          for (let resumed = 0; resumed < 20; resumed++) {
            // Left after one to four changes: in the middle of what is there, of what changed meanwhile, and of what changes now.
            const reading = watch;
            const changes = (resumed % 4) + 1;
            await reading.until(`${changes} changes are reported`, () => reading.changes.length >= changes);
            watch = await goOn(reading, resumed % 2 === 0 ? other : state);
          }
        },
      );
      await watch.untilCurrent();
    },
  },
  {
    name: "resume: after a restart",
    feature: "WATCH",
    applies: survivesRestart,
    async run(kit) {
      const component = await kit.component();
      const before = kit.session(component);
      await fill(before, ["deleted", "same"]);
      const first = before.watch({ prefix: "" });
      await first.untilSynced();
      await first.stop();
      await before.delete("deleted");
      await kit.close(component);
      const after = await kit.open();
      await after.set("created", "v");
      const second = await goOn(first, after);
      await second.untilCurrent();
      assert.deepEqual(second.of("same"), []);
    },
  },
  {
    name: "resume: a token that is none of this watch's is refused",
    feature: "WATCH",
    async run(kit) {
      const component = await kit.component();
      const state = kit.session(component);
      const foreign = kit.session(component, `${kit.keyspace}/foreign`);
      await Promise.all([state.set("key", ""), foreign.set("key", "")]);
      const token = async (watch: WatchReader) => {
        await watch.untilSynced();
        await watch.stop();
        return watch.resumeToken ?? "";
      };
      const own = await token(state.watch({ prefix: "" }));
      const tokens = [
        "nonsense",
        "0",
        "-1",
        "9".repeat(40),
        "\u0000",
        `${own}x`,
        own.slice(1),
        own.slice(0, -1),
        "e30=",
        "x".repeat(5_000),
      ];
      tokens.push(
        await token(foreign.watch({ prefix: "" })),
        await token(state.watch({ key: "key" })),
        await token(state.watch({ prefix: "k" })),
      );
      for (const resumeToken of tokens) await state.watch({ prefix: "" }, { resumeToken }).refused("BAD_REQUEST");
    },
  },
  {
    name: "resume: a token that is too old is refused as RESUME_EXPIRED, and a new watch works",
    feature: "WATCH",
    applies: (harness) => harness.expireResumeTokens !== undefined,
    async run(kit) {
      const component = await kit.component();
      const state = kit.session(component);
      await fill(state, ["a", "b"]);
      const first = state.watch({ prefix: "" });
      await first.untilSynced();
      await first.stop();
      await state.delete("a");
      await kit.harness.expireResumeTokens?.(component, kit.keyspace);
      assert(first.resumeToken !== undefined);
      await state.watch({ prefix: "" }, { resumeToken: first.resumeToken }).refused("RESUME_EXPIRED");
      const anew = state.watch({ prefix: "b" });
      await anew.untilCurrent();
    },
  },
];
