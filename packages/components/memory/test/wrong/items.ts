import type { StateCall, StateItem } from "@mecha/component";
import { type Mutant, turn, withOperations } from "./mutant.js";

export const itemMutants: readonly Mutant[] = [
  {
    name: "takes an empty value for absence",
    caught: ["items: an empty value is a value"],
    change: (store) => ({
      async get(call) {
        const item = await store.get(call);
        return item?.value.byteLength === 0 ? undefined : item;
      },
    }),
  },
  {
    name: "cuts values",
    caught: [
      "limits: a value of 4 MiB",
      "limits: a transaction of 128 operations and one of 8 MiB",
      "limits: getMany of 16 MiB",
    ],
    change: (store) => ({
      write: withOperations(store, (one) =>
        one.type === "set" ? { ...one, value: one.value.slice(0, 4_000_000) } : one,
      ),
    }),
  },
  {
    name: "cuts keys",
    caught: ["limits: keys of 512 bytes that differ in the last one"],
    change: (store) => ({
      write: withOperations(store, (one) => ({ ...one, key: one.key.slice(0, 511) })),
      get: (call) => store.get({ ...call, key: call.key.slice(0, 511) }),
    }),
  },
  {
    name: "folds case",
    caught: ["items: keys are told apart byte by byte"],
    change: (store) => ({
      write: withOperations(store, (one) => ({ ...one, key: one.key.toLowerCase() })),
      get: (call) => store.get({ ...call, key: call.key.toLowerCase() }),
    }),
  },
  {
    name: "reads many keys one after the other",
    caught: ["items: getMany is one snapshot"],
    change: (store) => ({
      async getMany(call) {
        const items: StateItem[] = [];
        for (const key of call.keys) {
          const item = await store.get({ ...call, key });
          if (item !== undefined) items.push(item);
          await turn();
        }
        return items;
      },
    }),
  },
  {
    name: "reads more than maxBytes",
    caught: ["limits: getMany of 1000 keys, and to the byte of maxBytes", "limits: getMany of 16 MiB"],
    change: (store) => ({ getMany: (call) => store.getMany({ ...call, maxBytes: Number.POSITIVE_INFINITY }) }),
  },
  {
    name: "answers in an order of its own",
    caught: ["items: getMany answers in the order asked and leaves out what is absent"],
    change: (store) => ({
      getMany: (call) => store.getMany({ ...call, keys: call.keys.toSorted((a, b) => (a < b ? -1 : 1)) }),
    }),
  },
  {
    name: "has one keyspace",
    caught: ["items: a keyspace sees nothing of another one"],
    change: (store) => {
      const one = <Call extends StateCall>(call: Call): Call => ({ ...call, keyspace: "one" });
      return {
        get: (call) => store.get(one(call)),
        getMany: (call) => store.getMany(one(call)),
        write: (call) => store.write(one(call)),
        list: (call) => store.list(one(call)),
      };
    },
  },
  {
    name: "acts for a caller that is gone",
    caught: ["callers: a write whose caller is gone already is not done"],
    change: (store) => ({
      write: ({ keyspace, operations, requestId }) => store.write({ keyspace, operations, requestId }),
    }),
  },
  {
    name: "declares what its configuration does not back",
    caught: ["lifecycle: declares the features and the durability that its configuration backs, and is healthy"],
    change: () => ({ durability: "REPLICATED" }),
  },
  {
    name: "says of every deletion that there was something",
    caught: [
      "items: an absent key is undefined, and nothing to delete",
      "items: the last write wins, and a deleted key is absent",
    ],
    change: (store) => ({
      write: async (call) =>
        (await store.write(call)).map((result) => (result.type === "delete" ? { ...result, existed: true } : result)),
    }),
  },
  {
    name: "loses content types",
    caught: [
      "items: what is written comes back, byte by byte",
      "watch: what is there, then synced, then changes",
      "limits: a content type of 256 bytes, a request id of 128, a keyspace of 256",
    ],
    change: (store) => ({
      write: withOperations(store, (one) => (one.type === "set" ? { ...one, contentType: "" } : one)),
    }),
  },
];
