/** Chunks hold at most so many entries: a chunk's copy on insertion costs less than a tree's pointers. */
const maxChunk = 512;

/**
 * Entries in the order of their `order` strings, in chunks: finding, adding and removing one of n costs O(log n) and a short copy.
 */
export class SortedEntries<Entry extends { readonly order: string }> {
  readonly #chunks: Entry[][] = [];

  add(entry: Entry): void {
    const index = this.#chunkOf(entry.order);
    const chunk = this.#chunks[index];
    if (chunk === undefined) {
      this.#chunks.push([entry]);
      return;
    }
    chunk.splice(firstFrom(chunk, entry.order), 0, entry);
    if (chunk.length > maxChunk) this.#chunks.splice(index + 1, 0, chunk.splice(maxChunk / 2));
  }

  remove(entry: Entry): void {
    const index = this.#chunkOf(entry.order);
    const chunk = this.#chunks[index];
    const at = chunk === undefined ? 0 : firstFrom(chunk, entry.order);
    if (chunk?.[at] !== entry) return;
    chunk.splice(at, 1);
    if (chunk.length === 0) this.#chunks.splice(index, 1);
  }

  /** Entries from the first one at or behind `order` on. Nothing may be added or removed while they are read. */
  *from(order: string): Generator<Entry, void, undefined> {
    const first = this.#chunkOf(order);
    for (let index = first; index < this.#chunks.length; index++) {
      const chunk = this.#chunks[index] ?? [];
      const skipped = index === first ? firstFrom(chunk, order) : 0;
      for (let at = skipped; at < chunk.length; at++) yield chunk[at] as Entry;
    }
  }

  /** The last chunk that begins at or before `order`; the first one if all begin behind it. */
  #chunkOf(order: string): number {
    let [low, high] = [0, this.#chunks.length];
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if ((this.#chunks[middle]?.[0]?.order ?? "") <= order) low = middle;
      else high = middle;
    }
    return low;
  }
}

/** Where the first entry at or behind `order` is or would be. */
function firstFrom(chunk: readonly { readonly order: string }[], order: string): number {
  let [low, high] = [0, chunk.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((chunk[middle]?.order ?? "") < order) low = middle + 1;
    else high = middle;
  }
  return low;
}

const outOfOrder = /[\ud800-\uffff]/;

/**
 * A key as a text that JavaScript orders as UTF-8 orders the key's bytes. The two differ in one thing: JavaScript compares UTF-16 units, where
 * the surrogates of U+10000 and above lie before U+E000 to U+FFFF; so those two ranges change places.
 */
export function orderOf(key: string): string {
  if (!outOfOrder.test(key)) return key;
  let order = "";
  for (let index = 0; index < key.length; index++) {
    const unit = key.charCodeAt(index);
    order += String.fromCharCode(unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800);
  }
  return order;
}
