import type { StateItem } from "@mecha/component";
import { type Changed, ChangeList } from "./change-list.js";
import type { Expiring } from "./expiry-queue.js";
import { orderOf, SortedEntries } from "./sorted-entries.js";
import { Waiters } from "./waiters.js";

/** What is known about one key: its item, or that it was deleted. */
export interface Entry extends Changed<Entry>, Expiring {
  readonly space: Keyspace;
  readonly key: string;
  /** The key as JavaScript orders it by its bytes. */
  readonly order: string;
  item: StateItem | undefined;
  /** Whether it is gone because its time was over. */
  expired: boolean;
  revision: number;
  /** When `item` expires; meaningless for one that does not. */
  expireTime: number;
}

type PresentEntry = Entry & { readonly item: StateItem };

/**
 * The keys that one caller sees. Every key that exists or was deleted lately has one entry, linked in the order of last changes. So a watch
 * need keep nothing but a revision: what changed since is found from the newest entry backwards, each key once.
 */
export class Keyspace {
  readonly waiters = new Waiters();
  /** Of the deletions up to this revision some are forgotten. */
  forgottenRevision = 0;
  readonly #entries = new Map<string, Entry>();
  readonly #sorted = new SortedEntries<Entry>();
  readonly #present = new ChangeList<Entry>();
  readonly #deleted = new ChangeList<Entry>();
  readonly #history: number;

  /** @param history how many deletions are remembered */
  constructor(history: number) {
    this.#history = history;
  }

  find(key: string): Entry | undefined {
    return this.#entries.get(key);
  }

  /** Gives a key a new item. */
  put(item: StateItem, revision: number): Entry {
    const entry = this.#entries.get(item.key) ?? this.#create(item.key);
    if (isPresent(entry)) {
      this.#present.remove(entry);
    } else {
      if (entry.revision > 0) this.#deleted.remove(entry);
      this.#sorted.add(entry);
    }
    entry.item = item;
    entry.expireTime = item.expireTime ?? 0;
    entry.revision = revision;
    this.#present.add(entry);
    return entry;
  }

  /** Takes the item of an entry away. */
  remove(entry: Entry, revision: number, expired: boolean): void {
    this.#sorted.remove(entry);
    this.#present.remove(entry);
    entry.item = undefined;
    entry.expired = expired;
    entry.revision = revision;
    this.#deleted.add(entry);
    const { oldest } = this.#deleted;
    if (oldest === undefined || this.#deleted.size <= this.#history) return;
    this.#deleted.remove(oldest);
    this.#entries.delete(oldest.key);
    this.forgottenRevision = oldest.revision;
  }

  /** The entries that exist by a prefix, in byte order, behind the key `after`. */
  *list(prefix: string, after: string | undefined): Generator<PresentEntry, void, undefined> {
    const begin = orderOf(prefix);
    const behind = after === undefined ? undefined : orderOf(after);
    for (const entry of this.#sorted.from(behind !== undefined && behind > begin ? behind : begin)) {
      if (!entry.order.startsWith(begin)) return;
      if (entry.order !== behind && isPresent(entry)) yield entry;
    }
  }

  /** The entries by a prefix that changed since a revision, oldest change first. */
  changedSince(revision: number, prefix: string): Entry[] {
    return [...this.#present.since(revision), ...this.#deleted.since(revision)]
      .filter(({ key }) => key.startsWith(prefix))
      .sort((a, b) => a.revision - b.revision);
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
}

export function isPresent(entry: Entry): entry is PresentEntry {
  return entry.item !== undefined;
}
