import { ComponentError, type StateStore } from "@mecha/component";
import { type Mutant, turn, type WriteCall } from "./mutant.js";

export const requestIdMutants: readonly Mutant[] = [
  {
    name: "ignores request ids",
    caught: [
      "request ids: a write that is sent again gets its first answer and does nothing",
      "request ids: a transaction that is sent again gets all of its first answer",
      "request ids: the first answer comes back even when its precondition holds no more",
      "request ids: one is remembered for ten minutes, and not for ever",
    ],
    change: (store) => ({ write: (call) => store.write({ ...call, requestId: undefined }) }),
  },
  {
    name: "looks a request id up before it writes instead of while",
    caught: ["request ids: of duplicates that race one acts, and all get its answer"],
    change: (store) => {
      const answers = new Map<string, Awaited<ReturnType<StateStore["write"]>>>();
      return {
        async write(call) {
          const name = `${call.keyspace} ${call.requestId?.id}`;
          const answered = call.requestId && answers.get(name);
          if (answered !== undefined) return answered;
          await turn();
          const results = await store.write({ ...call, requestId: undefined });
          answers.set(name, results);
          return results;
        },
      };
    },
  },
  {
    name: "takes an id for the request",
    caught: ["request ids: the same id for another request is refused"],
    change: (store) => ({
      write: (call) =>
        store.write(call.requestId ? { ...call, requestId: { ...call.requestId, fingerprint: "" } } : call),
    }),
  },
  {
    name: "remembers refusals",
    caught: ["request ids: a refused write is not remembered"],
    change: (store) => {
      const refusals = new Map<string, unknown>();
      return {
        async write(call: WriteCall) {
          const id = call.requestId?.id;
          if (id === undefined) return store.write(call);
          if (refusals.has(id)) throw refusals.get(id);
          try {
            return await store.write(call);
          } catch (error) {
            refusals.set(id, error);
            throw error;
          }
        },
      };
    },
  },
  {
    name: "shares request ids between keyspaces",
    caught: ["request ids: each keyspace has its own"],
    change: (store) => {
      const ids = new Set<string>();
      return {
        async write(call) {
          const id = call.requestId?.id ?? "";
          if (ids.has(id)) throw new ComponentError("BAD_REQUEST", "used before");
          if (id !== "") ids.add(id);
          return store.write(call);
        },
      };
    },
  },
];
