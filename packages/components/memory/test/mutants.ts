import {
  ComponentError,
  type StateCall,
  type StateChange,
  type StateItem,
  type StateOperation,
  type StateStore,
} from "@mecha/component";

type WriteCall = Parameters<StateStore["write"]>[0];
type WatchCall = Parameters<StateStore["watch"]>[0];

/** A way in which a store may be wrong, and the cases that must notice. */
export interface Mutant {
  /** Completes "a store that …". */
  readonly name: string;
  readonly caught: readonly string[];
  /** What it does instead; made anew for each component that is opened. */
  readonly change: (store: StateStore) => Partial<StateStore>;
}

const turn = () => new Promise(setImmediate);

/** The same item under another etag. */
const relabel = (item: StateItem | undefined, etag: string) => item && { ...item, etag };

const withoutPreconditions = (operations: readonly StateOperation[]): StateOperation[] =>
  operations.flatMap((operation) => (operation.type === "check" ? [] : [{ ...operation, precondition: undefined }]));

/** A watch whose batches are changed on their way. */
async function* mapped(
  store: StateStore,
  call: WatchCall,
  map: (change: StateChange, synced: boolean) => StateChange[],
) {
  let synced = false;
  for await (const batch of store.watch(call)) {
    yield batch.flatMap((change) => {
      synced ||= change.type === "synced";
      return map(change, synced);
    });
  }
}

export const mutants: readonly Mutant[] = [
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
      write: (call) =>
        store.write({
          ...call,
          operations: call.operations.map((one) =>
            one.type === "set" ? { ...one, value: one.value.slice(0, 4_000_000) } : one,
          ),
        }),
    }),
  },
  {
    name: "cuts keys",
    caught: ["limits: keys of 512 bytes that differ in the last one"],
    change: (store) => ({
      write: (call) =>
        store.write({ ...call, operations: call.operations.map((one) => ({ ...one, key: one.key.slice(0, 511) })) }),
      get: (call) => store.get({ ...call, key: call.key.slice(0, 511) }),
    }),
  },
  {
    name: "folds case",
    caught: ["items: keys are told apart byte by byte"],
    change: (store) => ({
      write: (call) =>
        store.write({ ...call, operations: call.operations.map((one) => ({ ...one, key: one.key.toLowerCase() })) }),
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
    name: "lists in the order of UTF-16",
    caught: ["list: keys come in the byte order of their UTF-8"],
    change: (store) => ({
      async list(call) {
        const { items, more } = await store.list(call);
        return { items: items.toSorted((a, b) => (a.key < b.key ? -1 : 1)), more };
      },
    }),
  },
  {
    name: "takes a prefix for a pattern",
    caught: ["list: a prefix is bytes, not a pattern"],
    change: (store) => ({
      async list(call) {
        const pattern = call.prefix
          .replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")
          .replaceAll("_", ".")
          .replaceAll("%", ".*");
        const { items } = await store.list({ ...call, prefix: "", limit: 1_000 });
        const matching = items.filter(({ key }) => new RegExp(`^${pattern}`, "su").test(key));
        return { items: matching.slice(0, call.limit), more: matching.length > call.limit };
      },
    }),
  },
  {
    name: "lists the key again after which it goes on",
    caught: ["list: goes on after a key, whether it is there or not"],
    change: (store) => ({
      async list(call) {
        const page = await store.list(call);
        const again = call.after?.startsWith(call.prefix) ? await store.get({ ...call, key: call.after }) : undefined;
        return again === undefined ? page : { items: [again, ...page.items], more: page.more };
      },
    }),
  },
  {
    name: "never says that more follows",
    caught: [
      "list: a page says whether another may follow",
      "list: a page ends at its limit of bytes, but holds one item",
    ],
    change: (store) => ({ list: async (call) => ({ ...(await store.list(call)), more: false }) }),
  },
  {
    name: "counts the bytes of values that it leaves out",
    caught: ["list: keysOnly leaves out values, and their bytes do not count"],
    change: (store) => ({
      async list(call) {
        const { items, more } = await store.list({ ...call, keysOnly: false });
        return { items: items.map((item) => ({ ...item, value: new Uint8Array() })), more };
      },
    }),
  },
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
      write: (call) =>
        store.write({
          ...call,
          operations: call.operations.map((one) =>
            one.type === "set" && one.ttlMs !== undefined ? { ...one, ttlMs: one.ttlMs + 1_000 } : one,
          ),
        }),
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
        mapped(store, call, (change) => [change.type === "deleted" ? { ...change, expired: false } : change]),
    }),
  },
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
        yield* mapped(store, { ...call, resumeToken: undefined }, (change, synced) => {
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
      watch: (call) => mapped(store, call, (change, synced) => (change.type === "deleted" && !synced ? [] : [change])),
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
      write: (call) =>
        store.write({
          ...call,
          operations: call.operations.map((one) => (one.type === "set" ? { ...one, contentType: "" } : one)),
        }),
    }),
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
  {
    name: "pages by position",
    caught: ["list: while others write no key comes twice and no untouched key is skipped"],
    change: (store) => {
      let position = 0;
      return {
        async list(call) {
          if (call.after === undefined) position = 0;
          const { items } = await store.list({ ...call, after: undefined, limit: 1_000 });
          const page = items.slice(position, position + call.limit);
          position += page.length;
          return { items: page, more: position < items.length };
        },
      };
    },
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
          yield* mapped(store, call, (change, synced) =>
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
