/** Memory is taken in steps of this many bytes. */
const step = 256;

/**
 * What was read last on a connection, whose peer mostly repeats it, and the bytes it was read from. These are copied into memory that lasts as long
 * as the connection: a view would keep all that came with them, and a new copy each time the whole slab of Node's pool that it is cut from.
 */
export class LastRead<Meaning> {
  #meaning: Meaning | undefined;
  #bytes = Buffer.alloc(0);
  #length = 0;

  /** How many bytes it was read from. */
  get length(): number {
    return this.#length;
  }

  /** What it means, whatever comes. */
  get meaning(): Meaning | undefined {
    return this.#meaning;
  }

  /** Whether its bytes `from` (inclusive) `to` (exclusive) are what comes at the same place from `start` on. */
  matches(bytes: Buffer, start: number, from: number, to: number): boolean {
    for (let at = from; at < to; at++) if (bytes[start + at] !== this.#bytes[at]) return false;
    return true;
  }

  /** What it means if the same bytes come from `start` on. */
  find(bytes: Buffer, start: number): Meaning | undefined {
    const end = start + this.#length;
    if (this.#meaning === undefined || end > bytes.length) return undefined;
    return bytes.compare(this.#bytes, 0, this.#length, start, end) === 0 ? this.#meaning : undefined;
  }

  /** Takes the place of what it was. */
  set(bytes: Buffer, start: number, end: number, meaning: Meaning): void {
    this.#length = end - start;
    if (this.#length > this.#bytes.length) this.#bytes = Buffer.allocUnsafeSlow(Math.ceil(this.#length / step) * step);
    bytes.copy(this.#bytes, 0, start, end);
    this.#meaning = meaning;
  }
}
