import type { StateItem } from "@mecha/component";
import { type Mutant, withChanges, withOperations } from "./mutant.js";

export const expiryMutants: readonly Mutant[] = [
  {
    name: "keeps the time to live of an earlier write",
    caught: [
      "expiry: a write without a time to live clears the one before, and one with it sets it anew",
      "expiry: a watch reports it within a second, and a deletion as a deletion",
    ],
    change: (store) => {
      const times = new Map<string, number>();
      return {
        write(call) {
          const operations = call.operations.map((one) => {
            if (one.type !== "set") return one;
            const name = `${call.keyspace} ${one.key}`;
            if (one.ttlMs !== undefined) times.set(name, one.ttlMs);
            return { ...one, ttlMs: times.get(name) };
          });
          return store.write({ ...call, operations });
        },
      };
    },
  },
  {
    name: "keeps items for a second longer",
    caught: [
      "expiry: an item is there one ms before its time and gone at it",
      "expiry: an item says when it expires, and is there until then",
    ],
    change: (store) => ({
      write: withOperations(store, (one) =>
        one.type === "set" && one.ttlMs !== undefined ? { ...one, ttlMs: one.ttlMs + 1_000 } : one,
      ),
    }),
  },
  {
    name: "reports what expired as deleted",
    caught: [
      "expiry: a watch reports it within a second, and a deletion as a deletion",
      "expiry: a resumed watch reports what expired meanwhile",
    ],
    change: (store) => ({
      watch: (call) =>
        withChanges(store, call, (change) => [change.type === "deleted" ? { ...change, expired: false } : change]),
    }),
  },
  {
    name: "says that items expire sooner than they do",
    caught: [
      "expiry: past its time an item is absent for every read and precondition",
      "limits: a time to live of 1 ms and of 10 years",
    ],
    change: (store) => {
      const sooner = (item: StateItem): StateItem =>
        item.expireTime === undefined ? item : { ...item, expireTime: item.expireTime - 1_000 };
      return {
        async get(call) {
          const item = await store.get(call);
          return item && sooner(item);
        },
        getMany: async (call) => (await store.getMany(call)).map(sooner),
      };
    },
  },
  {
    name: "reports the first of what happened at once",
    caught: [
      "expiry: many items that expire at once are all gone and all reported",
      "watch: every part of a transaction is reported",
      "watch: more keys than a batch holds are all reported",
    ],
    change: (store) => ({
      async *watch(call) {
        let synced = false;
        for await (const batch of store.watch(call)) {
          yield synced ? batch.slice(0, 1) : batch;
          synced ||= batch.some(({ type }) => type === "synced");
        }
      },
    }),
  },
];
