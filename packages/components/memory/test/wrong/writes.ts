import { ComponentError, type StateItem, type StateOperation } from "@mecha/component";
import { type Mutant, turn } from "./mutant.js";

const withoutPreconditions = (operations: readonly StateOperation[]): StateOperation[] =>
  operations.flatMap((operation) => (operation.type === "check" ? [] : [{ ...operation, precondition: undefined }]));

/** The same item under another etag. */
const relabel = (item: StateItem | undefined, etag: string) => item && { ...item, etag };

export const writeMutants: readonly Mutant[] = [
  {
    name: "gives equal values equal etags",
    caught: ["etags: every write has one of its own, also after a deletion"],
    change: (store) => ({
      get: async (call) => relabel(await store.get(call), "digest"),
      write: async (call) =>
        (await store.write(call)).map((result) => (result.type === "set" ? { ...result, etag: "digest" } : result)),
    }),
  },
  {
    name: "counts etags from 1 after a restart",
    caught: ["etags: none is used again after a restart"],
    change: (store) => {
      let writes = 0;
      return {
        write: async (call) =>
          (await store.write(call)).map((result) =>
            result.type === "set" ? { ...result, etag: String(++writes) } : result,
          ),
      };
    },
  },
  {
    name: "accepts a stale etag for a key that was deleted",
    caught: ["preconditions: each holds or is refused for its reason, and a refused write changes nothing"],
    change: (store) => ({
      async write(call) {
        const [first] = call.operations;
        const isAbsent = first !== undefined && (await store.get({ ...call, key: first.key })) === undefined;
        const lenient = isAbsent && first.precondition?.type === "etag";
        return store.write(lenient ? { ...call, operations: withoutPreconditions(call.operations) } : call);
      },
    }),
  },
  {
    name: "does a transaction step by step",
    caught: ["transactions: nothing is done when one operation is refused, and the lowest failing one is named"],
    change: (store) => ({
      async write(call) {
        const results = [];
        for (const [index, operation] of call.operations.entries()) {
          try {
            results.push(...(await store.write({ ...call, operations: [operation] })));
          } catch (error) {
            if (!(error instanceof ComponentError)) throw error;
            const metadata = { ...error.metadata, operation_index: String(index) };
            throw new ComponentError(error.reason, error.message, { metadata });
          }
        }
        return results;
      },
    }),
  },
  {
    name: "names the last failing operation",
    caught: ["transactions: nothing is done when one operation is refused, and the lowest failing one is named"],
    change: (store) => ({
      async write(call) {
        const count = call.operations.length;
        try {
          return (await store.write({ ...call, operations: call.operations.toReversed() })).reverse();
        } catch (error) {
          if (!(error instanceof ComponentError)) throw error;
          const index = count - 1 - Number(error.metadata.operation_index);
          throw new ComponentError(error.reason, error.message, {
            metadata: { ...error.metadata, operation_index: String(index) },
          });
        }
      },
    }),
  },
  {
    name: "checks preconditions before it writes instead of while",
    caught: [
      "concurrency: 64 writers compare-and-set one key and lose nothing",
      "concurrency: of many that create a key one wins",
      "concurrency: a check of an absent key holds against a concurrent create",
      "concurrency: a check of an etag holds against a concurrent change",
    ],
    change: (store) => ({
      async write(call) {
        const checks = call.operations.flatMap(({ key, precondition }) =>
          precondition === undefined ? [] : [{ type: "check", key, precondition } as const],
        );
        await store.write({ ...call, operations: checks, requestId: undefined });
        await turn();
        const results = await store.write({ ...call, operations: withoutPreconditions(call.operations) });
        return call.operations.map((one) =>
          one.type === "check" ? { type: "check" } : (results.shift() ?? { type: "check" }),
        );
      },
    }),
  },
  {
    name: "keeps what it has read",
    caught: ["concurrency: a read sees every write that was answered before, whoever wrote it"],
    change: (store) => {
      const seen = new Map<string, StateItem | undefined>();
      return {
        async get(call) {
          const name = `${call.keyspace} ${call.key}`;
          if (!seen.has(name)) seen.set(name, await store.get(call));
          return seen.get(name);
        },
        write(call) {
          for (const { key } of call.operations) seen.delete(`${call.keyspace} ${key}`);
          return store.write(call);
        },
      };
    },
  },
  {
    name: "refuses etags that are current",
    caught: ["preconditions: a write whose precondition holds is done"],
    change: (store) => ({
      write(call) {
        const refused = call.operations.find(({ precondition }) => precondition?.type === "etag");
        if (refused === undefined) return store.write(call);
        throw new ComponentError("ETAG_MISMATCH", "has changed", {
          metadata: { key: refused.key, operation_index: "0" },
        });
      },
    }),
  },
  {
    name: "tells what a transaction did in another order",
    caught: ["transactions: all is done, and told in order"],
    change: (store) => ({ write: async (call) => (await store.write(call)).toReversed() }),
  },
  {
    name: "lets others see and write between the steps of a transaction",
    caught: [
      "concurrency: transactions that touch the same keys in opposite orders all come through, whole",
      "concurrency: transfers between accounts keep the sum, and no reader sees another one",
      "items: getMany is one snapshot",
    ],
    change: (store) => ({
      async write(call) {
        const results = [];
        for (const operation of call.operations) {
          results.push(...(await store.write({ ...call, operations: [operation] })));
          await turn();
        }
        return results;
      },
    }),
  },
];
