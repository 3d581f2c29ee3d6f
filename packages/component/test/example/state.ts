import {
  ComponentError,
  type StateItem,
  type StateOperation,
  type StateRequestId,
  type StateResult,
  type StateStore,
  stateLimits,
} from "@mecha/component";

export interface StoreOptions {
  readonly maxItems: number;
  readonly now: () => number;
  readonly newEtag: () => string;
  readonly requireOpen: () => void;
}

/** The runtime has validated every call: a store trusts keys and sizes, and keeps the promises. */
export function createStore({ maxItems, now, newEtag, requireOpen }: StoreOptions): StateStore {
  const items = new Map<string, StateItem>();
  const answers = new Map<string, { fingerprint: string; results: StateResult[]; forgetTime: number }>();
  // U+0000 is in no keyspace and no key, so names of two keyspaces never meet.
  const nameOf = (keyspace: string, key: string) => `${keyspace}\0${key}`;

  const answered = (name: string, requestId: StateRequestId): StateResult[] | undefined => {
    // All are kept equally long, so the oldest come first.
    for (const [oldest, { forgetTime }] of answers) {
      if (forgetTime > now()) break;
      answers.delete(oldest);
    }
    const answer = answers.get(name);
    if (answer === undefined || answer.fingerprint === requestId.fingerprint) return answer?.results;
    throw new ComponentError("BAD_REQUEST", "the request id was used for another request; use a new one");
  };

  const apply = (keyspace: string, operation: StateOperation): StateResult => {
    const { key } = operation;
    const name = nameOf(keyspace, key);
    requireHolds(operation, items.get(name));
    if (operation.type === "check") return { type: "check" };
    if (operation.type === "delete") return { type: "delete", existed: items.delete(name) };
    if (!items.has(name) && items.size >= maxItems) {
      throw new ComponentError("STORAGE_FULL", `maxItems (${maxItems}) is reached; delete something or raise it`);
    }
    const { value, contentType } = operation;
    const etag = newEtag();
    items.set(name, { key, value, contentType, etag, expireTime: undefined, updateTime: now() });
    return { type: "set", etag };
  };

  return {
    features: [],
    durability: "PROCESS",

    get({ keyspace, key, signal }) {
      requireOpen();
      signal?.throwIfAborted();
      return items.get(nameOf(keyspace, key));
    },

    getMany({ keyspace, keys, maxBytes, signal }) {
      requireOpen();
      signal?.throwIfAborted();
      const found = keys.flatMap((key) => items.get(nameOf(keyspace, key)) ?? []);
      const bytes = found.reduce((sum, { value }) => sum + value.byteLength, 0);
      if (bytes > maxBytes) throw new ComponentError("TOO_LARGE", "ask for fewer keys");
      return found;
    },

    // Without TRANSACT there is one operation. With it, check them all before the first is applied.
    write({ keyspace, operations, requestId, signal }) {
      requireOpen();
      signal?.throwIfAborted();
      const name = nameOf(keyspace, requestId?.id ?? "");
      const before = requestId && answered(name, requestId);
      if (before !== undefined) return before;
      const results = operations.map((operation) => apply(keyspace, operation));
      if (requestId !== undefined) {
        const { fingerprint } = requestId;
        answers.set(name, { fingerprint, results, forgetTime: now() + stateLimits.requestIdTtlMs });
      }
      return results;
    },

    // Sorts everything each time; a real store has an index in byte order.
    list({ keyspace, prefix, after, limit, maxBytes, keysOnly, signal }) {
      requireOpen();
      signal?.throwIfAborted();
      const matching = [...items]
        .filter(([name, { key }]) => name === nameOf(keyspace, key) && key.startsWith(prefix))
        .map(([, item]) => ({ item, bytes: Buffer.from(item.key) }))
        .filter(({ bytes }) => after === undefined || Buffer.compare(bytes, Buffer.from(after)) > 0)
        .sort((a, b) => Buffer.compare(a.bytes, b.bytes));
      const page: StateItem[] = [];
      let size = 0;
      for (const { item } of matching) {
        if (!keysOnly) size += item.value.byteLength;
        if (page.length === limit || (size > maxBytes && page.length > 0)) return { items: page, more: true };
        page.push(keysOnly ? { ...item, value: new Uint8Array() } : item);
      }
      return { items: page, more: false };
    },

    watch() {
      throw new ComponentError("FEATURE_NOT_SERVED", "watches are not served");
    },
  };
}

function requireHolds({ key, precondition }: StateOperation, item: StateItem | undefined): void {
  const metadata = { key, operation_index: "0" };
  if (precondition?.type === "etag" && item?.etag !== precondition.etag) {
    throw new ComponentError("ETAG_MISMATCH", `key ${JSON.stringify(key)} has changed; read it again`, { metadata });
  }
  if (precondition?.type === "absent" && item !== undefined) {
    throw new ComponentError("ALREADY_EXISTS", `key ${JSON.stringify(key)} exists already`, { metadata });
  }
  if (precondition?.type === "exists" && item === undefined) {
    throw new ComponentError("NOT_EXISTS", `key ${JSON.stringify(key)} does not exist`, { metadata });
  }
}
