/** What the queue needs of what it holds; `queueIndex` is the queue's own. */
export interface Expiring {
  readonly expireTime: number;
  queueIndex: number;
}

/** A binary heap by expiry that removes from its middle, so that what is overwritten leaves nothing behind. */
export class ExpiryQueue<Entry extends Expiring> {
  readonly #heap: Entry[] = [];

  /** The entry that expires first. */
  get first(): Entry | undefined {
    return this.#heap[0];
  }

  add(entry: Entry): void {
    this.#heap.push(entry);
    this.#rise(entry, this.#heap.length - 1);
  }

  remove(entry: Entry): void {
    const last = this.#heap.pop();
    if (last === undefined || last === entry) return;
    const index = entry.queueIndex;
    this.#rise(last, index);
    if (last.queueIndex === index) this.#sink(last, index);
  }

  #rise(entry: Entry, from: number): void {
    let index = from;
    while (index > 0) {
      const above = (index - 1) >>> 1;
      const parent = this.#heap[above];
      if (parent === undefined || parent.expireTime <= entry.expireTime) break;
      this.#put(parent, index);
      index = above;
    }
    this.#put(entry, index);
  }

  #sink(entry: Entry, from: number): void {
    let index = from;
    for (;;) {
      const left = this.#heap[2 * index + 1];
      const right = this.#heap[2 * index + 2];
      const earlier = right !== undefined && left !== undefined && right.expireTime < left.expireTime ? right : left;
      if (earlier === undefined || earlier.expireTime >= entry.expireTime) break;
      const below = earlier.queueIndex;
      this.#put(earlier, index);
      index = below;
    }
    this.#put(entry, index);
  }

  #put(entry: Entry, index: number): void {
    this.#heap[index] = entry;
    entry.queueIndex = index;
  }
}
