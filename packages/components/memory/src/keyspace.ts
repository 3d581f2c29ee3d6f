import type { StateItem } from "@mecha/component";
import { orderOf, SortedEntries } from "./sorted-entries.js";
import { Waiters } from "./waiters.js";

/** What is known about one key: its item, or that it is gone. */
export interface Entry {
  readonly space: Keyspace;
  readonly key: string;
  /** The key as JavaScript orders it by its bytes. */
  readonly order: string;
  item: StateItem | undefined;
  /** Whether it is gone because its time was over. */
  expired: boolean;
  /** The revision of its last change. */
  revision: number;
  older: Entry | undefined;
  newer: Entry | undefined;
  /** When `item` expires; meaningless without one that does. */
  expireTime: number;
  queueIndex: number;
}

/**
 * The keys that one caller sees. Every key that exists, or was deleted lately, has one entry; entries are linked in the order of their last
 * changes. So a watch keeps nothing but a revision: what changed since is found from the newest entry backwards, each key once.
 */
export class Keyspace {
  readonly waiters = new Waiters();
  readonly #entries = new Map<string, Entry>();
  readonly #present = new SortedEntries<Entry>();
  /** Entries of deleted keys, oldest first. */
  readonly #deleted = new Set<Entry>();
  #newest: Entry | undefined;
  /** Of deletions up to this revision some are forgotten. */
  forgottenRevision = 0;

  /** @param history how many deletions are remembered */
  constructor(private readonly history: number) {}

  find(key: string): Entry | undefined {
    return this.#entries.get(key);
  }

  /** Gives a key a new item. */
  put(item: StateItem, revision: number): Entry {
    let entry = this.#entries.get(item.key);
    if (entry === undefined) {
      entry = this.#create(item.key);
      this.#present.add(entry);
    } else {
      this.#unlink(entry);
      if (this.#deleted.delete(entry)) this.#present.add(entry);
    }
    entry.item = item;
    entry.expireTime = item.expireTime ?? 0;
    this.#link(entry, revision);
    return entry;
  }

  /** Takes the item of an entry away. */
  remove(entry: Entry, revision: number, expired: boolean): void {
    entry.item = undefined;
    entry.expired = expired;
    this.#present.remove(entry);
    this.#unlink(entry);
    this.#link(entry, revision);
    this.#deleted.add(entry);
    if (this.#deleted.size <= this.history) return;
    for (const oldest of this.#deleted) {
      this.#deleted.delete(oldest);
      this.#unlink(oldest);
      this.#entries.delete(oldest.key);
      this.forgottenRevision = oldest.revision;
      return;
    }
  }

  /** The entries that exist by a prefix, in byte order, behind the key `after`. */
  *list(prefix: string, after: string | undefined): Generator<Entry & { readonly item: StateItem }, void, undefined> {
    const begin = orderOf(prefix);
    const behind = after === undefined ? undefined : orderOf(after);
    for (const entry of this.#present.from(behind !== undefined && behind > begin ? behind : begin)) {
      if (entry.order === behind) continue;
      if (!entry.order.startsWith(begin)) return;
      if (isPresent(entry)) yield entry;
    }
  }

  /** The entries by a prefix that changed since a revision, oldest change first. */
  changedSince(revision: number, prefix: string): Entry[] {
    const changed: Entry[] = [];
    for (let entry = this.#newest; entry !== undefined && entry.revision > revision; entry = entry.older) {
      if (entry.key.startsWith(prefix)) changed.push(entry);
    }
    return changed.reverse();
  }

  #create(key: string): Entry {
    const entry: Entry = {
      space: this,
      key,
      order: orderOf(key),
      item: undefined,
      expired: false,
      revision: 0,
      older: undefined,
      newer: undefined,
      expireTime: 0,
      queueIndex: 0,
    };
    this.#entries.set(key, entry);
    return entry;
  }

  #link(entry: Entry, revision: number): void {
    entry.revision = revision;
    entry.older = this.#newest;
    if (this.#newest !== undefined) this.#newest.newer = entry;
    this.#newest = entry;
  }

  #unlink(entry: Entry): void {
    if (entry.older !== undefined) entry.older.newer = entry.newer;
    if (entry.newer !== undefined) entry.newer.older = entry.older;
    else this.#newest = entry.older;
    entry.older = undefined;
    entry.newer = undefined;
  }
}

export function isPresent(entry: Entry): entry is Entry & { readonly item: StateItem } {
  return entry.item !== undefined;
}
