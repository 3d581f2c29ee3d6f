import { ComponentError, type StateChange } from "@mecha/component";
import { type Mutant, turn, withChanges } from "./mutant.js";

export const watchMutants: readonly Mutant[] = [
  {
    name: "watches a key as a prefix",
    caught: ["watch: a key is that key alone, a prefix is bytes and no pattern"],
    change: (store) => ({
      watch: (call) =>
        store.watch({ ...call, target: "key" in call.target ? { prefix: call.target.key } : call.target }),
    }),
  },
  {
    name: "reports a deletion of nothing",
    caught: ["watch: writes that change nothing are not reported"],
    change: (store) => ({
      async write(call) {
        const results = await store.write(call);
        for (const [index, { key }] of call.operations.entries()) {
          const result = results[index];
          if (result?.type !== "delete" || result.existed) continue;
          await store.write({
            ...call,
            operations: [
              { type: "set", key, value: new Uint8Array(), contentType: "", ttlMs: undefined, precondition: undefined },
            ],
          });
          await store.write(call);
        }
        return results;
      },
    }),
  },
  {
    name: "keeps every change for a slow reader",
    caught: ["watch: a slow reader gets the last state, not every change"],
    change: (store) => {
      const log: StateChange[] = [];
      return {
        async write(call) {
          const results = await store.write(call);
          for (const { key } of call.operations) {
            const item = await store.get({ ...call, key });
            if (item !== undefined) log.push({ type: "item", item, resumeToken: "-" });
          }
          return results;
        },
        async *watch(call) {
          let at = 0;
          for await (const batch of store.watch(call)) {
            at = log.length;
            yield batch;
            if (batch.some(({ type }) => type === "synced")) break;
          }
          while (!call.signal.aborted) {
            const changes = log.slice(at);
            at = log.length;
            if (changes.length > 0) yield changes;
            else await turn();
          }
        },
      };
    },
  },
  {
    name: "misses what is written while it reads what is there",
    caught: [
      "watch: a watch that begins while others write misses nothing",
      "resume: again and again while others write, and nothing is missed",
    ],
    change: (store) => ({
      async *watch(call) {
        const prefix = "key" in call.target ? call.target.key : call.target.prefix;
        const { items } = await store.list({
          ...call,
          prefix,
          after: undefined,
          limit: 1_000,
          maxBytes: 1e9,
          keysOnly: false,
        });
        for (let turns = 0; turns < 10; turns++) await turn();
        yield* withChanges(store, { ...call, resumeToken: undefined }, (change, synced) => {
          if (change.type !== "synced") return synced ? [change] : [];
          const { resumeToken } = change;
          return [...items.map((item): StateChange => ({ type: "item", item, resumeToken })), change];
        });
      },
    }),
  },
  {
    name: "forgets deletions when a watch resumes",
    caught: [
      "resume: reports what was created, changed and deleted meanwhile, and nothing else",
      "expiry: a resumed watch reports what expired meanwhile",
    ],
    change: (store) => ({
      watch: (call) =>
        withChanges(store, call, (change, synced) => (change.type === "deleted" && !synced ? [] : [change])),
    }),
  },
  {
    name: "begins anew when a watch resumes",
    caught: ["resume: reports what was created, changed and deleted meanwhile, and nothing else", "resume: one key"],
    change: (store) => ({ watch: (call) => store.watch({ ...call, resumeToken: undefined }) }),
  },
  {
    name: "lets what was there bear the token of its end",
    caught: ["resume: from every token of what was there, with deletions behind it"],
    change: (store) => ({
      async *watch(call) {
        const before: StateChange[] = [];
        let synced = false;
        for await (const batch of store.watch(call)) {
          if (synced) {
            yield batch;
            continue;
          }
          before.push(...batch);
          const end = before.at(-1);
          synced = end?.type === "synced";
          if (synced && end !== undefined) yield before.map((change) => ({ ...change, resumeToken: end.resumeToken }));
        }
      },
    }),
  },
  {
    name: "lets every change of a batch bear its last token",
    caught: ["resume: from every token of later changes, also within a transaction"],
    change: (store) => ({
      async *watch(call) {
        for await (const batch of store.watch(call)) {
          const resumeToken = batch.at(-1)?.resumeToken ?? "";
          yield batch.map((change) => ({ ...change, resumeToken }));
        }
      },
    }),
  },
  {
    name: "takes any token for one of its own",
    caught: ["resume: a token that is none of this watch's is refused"],
    change: (store) => ({
      async *watch(call) {
        try {
          yield* store.watch(call);
        } catch {
          yield* store.watch({ ...call, resumeToken: undefined });
        }
      },
    }),
  },
  {
    name: "fails a watch whose caller goes",
    caught: ["watch: ends without an error when its caller goes, before and after it is synced"],
    change: (store) => ({
      async *watch(call) {
        yield* store.watch(call);
        call.signal.throwIfAborted();
      },
    }),
  },
  {
    name: "reports an absent key as deleted",
    caught: ["watch: an absent key is synced, created, changed, deleted and created again"],
    change: (store) => ({
      async *watch(call) {
        if ("key" in call.target) yield [{ type: "deleted", key: call.target.key, expired: false, resumeToken: "-" }];
        yield* store.watch(call);
      },
    }),
  },
  {
    name: "has room for 30 watchers",
    caught: ["watch: 100 watchers all end up with what is there"],
    change: (store) => {
      let watchers = 0;
      return {
        async *watch(call) {
          const silent = ++watchers > 30;
          yield* withChanges(store, call, (change, synced) =>
            silent && synced && change.type !== "synced" ? [] : [change],
          );
        },
      };
    },
  },
  {
    name: "resumes from a token of any age",
    caught: ["resume: a token that is too old is refused as RESUME_EXPIRED, and a new watch works"],
    change: (store) => ({
      async *watch(call) {
        try {
          yield* store.watch(call);
        } catch (error) {
          if (!(error instanceof ComponentError) || error.reason !== "RESUME_EXPIRED") throw error;
          yield* store.watch({ ...call, resumeToken: undefined });
        }
      },
    }),
  },
];
