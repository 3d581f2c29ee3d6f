import assert from "node:assert/strict";
import { stateLimits } from "../features.js";
import type {
  StateItem,
  StateOperation,
  StatePrecondition,
  StatePublish,
  StateRequestId,
  StateResult,
  StateStore,
} from "../interface.js";
import { type WatchOptions, WatchReader } from "./watch-reader.js";

export const absent: StatePrecondition = { type: "absent" };
export const exists: StatePrecondition = { type: "exists" };
export const etagIs = (etag: string): StatePrecondition => ({ type: "etag", etag });

/** The part of a write that most cases leave out. */
export interface SetOptions {
  readonly precondition?: StatePrecondition;
  readonly ttlMs?: number;
  readonly contentType?: string;
}

const bytes = (value: string | Uint8Array) => (typeof value === "string" ? new TextEncoder().encode(value) : value);

/** The operations of a transaction, in short. */
export const set = (key: string, value: string | Uint8Array = "", options: SetOptions = {}): StateOperation => ({
  type: "set",
  key,
  value: bytes(value),
  contentType: options.contentType ?? "text/plain",
  ttlMs: options.ttlMs,
  precondition: options.precondition,
});
export const remove = (key: string, precondition?: StatePrecondition): StateOperation => ({
  type: "delete",
  key,
  precondition,
});
export const check = (key: string, precondition: StatePrecondition): StateOperation => ({
  type: "check",
  key,
  precondition,
});

/** One keyspace of a store, in few words. Its calls are asynchronous even where the store answers at once. */
export class StateSession {
  readonly #readers = new Set<WatchReader>();

  constructor(
    readonly store: StateStore,
    readonly keyspace: string,
  ) {}

  async get(key: string): Promise<StateItem | undefined> {
    return this.store.get({ keyspace: this.keyspace, key });
  }

  /** The value as text, or undefined if the key is absent. */
  async text(key: string): Promise<string | undefined> {
    const item = await this.get(key);
    return item && new TextDecoder().decode(item.value);
  }

  /** The item of a key that must be there. */
  async item(key: string): Promise<StateItem> {
    const item = await this.get(key);
    assert(item !== undefined, `${JSON.stringify(key)} is absent`);
    return item;
  }

  async getMany(keys: readonly string[], maxBytes: number = stateLimits.maxGetManyBytes): Promise<StateItem[]> {
    return this.store.getMany({ keyspace: this.keyspace, keys, maxBytes });
  }

  /** Writes one item and returns its etag. */
  async set(
    key: string,
    value: string | Uint8Array = "",
    { requestId, ...options }: SetOptions & { requestId?: StateRequestId } = {},
  ): Promise<string> {
    const [result] = await this.write([set(key, value, options)], requestId);
    assert(result?.type === "set", "a set is answered with its etag");
    return result.etag;
  }

  /** Deletes one item and says whether there was one. */
  async delete(key: string, precondition?: StatePrecondition, requestId?: StateRequestId): Promise<boolean> {
    const [result] = await this.write([remove(key, precondition)], requestId);
    assert(result?.type === "delete", "a delete is answered with whether there was an item");
    return result.existed;
  }

  async write(
    operations: readonly StateOperation[],
    requestId?: StateRequestId,
    signal?: AbortSignal,
    publishes?: readonly StatePublish[],
  ): Promise<StateResult[]> {
    const call = {
      keyspace: this.keyspace,
      operations,
      requestId,
      ...(signal !== undefined && { signal }),
      ...(publishes !== undefined && { publishes }),
    };
    const results = await this.store.write(call);
    assert.deepEqual(
      results.map(({ type }) => type),
      operations.map(({ type }) => type),
      "one result per operation, in their order",
    );
    return results;
  }

  async list(
    options: { prefix?: string; after?: string; limit?: number; maxBytes?: number; keysOnly?: boolean } = {},
  ): Promise<{ readonly items: StateItem[]; readonly more: boolean }> {
    return this.store.list({
      keyspace: this.keyspace,
      prefix: options.prefix ?? "",
      after: options.after,
      limit: options.limit ?? stateLimits.maxPageSize,
      maxBytes: options.maxBytes ?? stateLimits.maxPageBytes,
      keysOnly: options.keysOnly ?? false,
    });
  }

  /** Every item by a prefix, page by page; `between` is done after each page. */
  async listAll(
    prefix = "",
    { limit = 100, between }: { limit?: number; between?: () => Promise<void> } = {},
  ): Promise<StateItem[]> {
    const items: StateItem[] = [];
    for (let after: string | undefined; ; ) {
      const page = await this.list({ prefix, limit, ...(after !== undefined && { after }) });
      assert(page.items.length <= limit, `a page of ${page.items.length} items where ${limit} were asked for`);
      items.push(...page.items);
      if (!page.more) return items;
      const last = page.items.at(-1);
      assert(last !== undefined, "a page that is not the last one holds at least one item");
      after = last.key;
      await between?.();
    }
  }

  /** Every key by a prefix. */
  async keys(prefix = "", limit = 100): Promise<string[]> {
    return (await this.listAll(prefix, { limit })).map(({ key }) => key);
  }

  /** Watches in the background. The case's end stops it. */
  watch(target: { readonly key: string } | { readonly prefix: string }, options: WatchOptions = {}): WatchReader {
    const reader = new WatchReader(this, target, options);
    this.#readers.add(reader);
    return reader;
  }

  async stopWatching(): Promise<void> {
    await Promise.all([...this.#readers].map((reader) => reader.stop()));
  }
}
