/** What the list needs of what it links; `older` and `newer` are the list's own. */
export interface Changed<Self> {
  /** The revision of its last change. */
  readonly revision: number;
  older: Self | undefined;
  newer: Self | undefined;
}

/** Entries in the order of their last changes, linked through themselves: adding, removing and finding the oldest cost the same for any number. */
export class ChangeList<Entry extends Changed<Entry>> {
  #newest: Entry | undefined;
  #oldest: Entry | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get oldest(): Entry | undefined {
    return this.#oldest;
  }

  /** Adds an entry that has just changed. */
  add(entry: Entry): void {
    entry.older = this.#newest;
    entry.newer = undefined;
    if (this.#newest === undefined) this.#oldest = entry;
    else this.#newest.newer = entry;
    this.#newest = entry;
    this.#size++;
  }

  remove(entry: Entry): void {
    if (entry.older === undefined) this.#oldest = entry.newer;
    else entry.older.newer = entry.newer;
    if (entry.newer === undefined) this.#newest = entry.older;
    else entry.newer.older = entry.older;
    this.#size--;
  }

  /** The entries that changed after a revision, newest first. */
  *since(revision: number): Generator<Entry, void, undefined> {
    for (let entry = this.#newest; entry !== undefined && entry.revision > revision; entry = entry.older) yield entry;
  }
}
