import { decodeHuffman } from "./hpack-huffman.js";
import { staticTable } from "./hpack-static-table.js";

/** A header block that cannot be read; whatever follows on the connection cannot be either. */
export class CompressionError extends Error {}

/** What a header costs beside its text, in every limit of HTTP/2 (RFC 7541, section 4.1). */
const entryOverhead = 32;
/** The size that both sides begin with, and the most that a client may use here. */
const maxTableBytes = 4096;

interface Entry {
  readonly name: string;
  readonly value: string;
}

/** A header block, read. */
export interface HeaderBlock {
  /** Names and values in turn; incomplete when they are too large. */
  readonly list: string[];
  readonly tooLarge: boolean;
}

/** Reads the header blocks of one connection, which build on each other (RFC 7541). */
export class HpackDecoder {
  readonly #maxListBytes: number;
  /** The newest entry is the last. */
  #table: Entry[] = [];
  #tableBytes = 0;
  #capacity = maxTableBytes;
  #version = 0;
  #buffer: Uint8Array = new Uint8Array();
  #at = 0;

  /** @param maxListBytes more than this much of headers is not kept. */
  constructor(maxListBytes: number) {
    this.#maxListBytes = maxListBytes;
  }

  /** Changes with the table: equal blocks mean the same as long as it does not. */
  get version(): number {
    return this.#version;
  }

  /** Reads a whole block. Throws a {@link CompressionError}. */
  decode(block: Uint8Array): HeaderBlock {
    this.#buffer = block;
    this.#at = 0;
    const list: string[] = [];
    let size = 0;
    while (this.#at < block.length) {
      const first = block[this.#at] as number;
      if ((first & 0xe0) === 0x20) {
        if (size > 0) throw new CompressionError("the table's size changes within a block");
        this.#resize(this.#integer(5));
        continue;
      }
      const entry = this.#entry(first);
      size += sizeOf(entry);
      // What is too large is read to its end, for later blocks refer to it, but not kept.
      if (size <= this.#maxListBytes) list.push(entry.name, entry.value);
    }
    return { list, tooLarge: size > this.#maxListBytes };
  }

  #entry(first: number): Entry {
    if ((first & 0x80) !== 0) return this.#lookUp(this.#integer(7));
    const indexed = (first & 0x40) !== 0;
    const index = this.#integer(indexed ? 6 : 4);
    const name = index === 0 ? this.#text() : this.#lookUp(index).name;
    const entry = { name, value: this.#text() };
    if (indexed) this.#add(entry);
    return entry;
  }

  #lookUp(index: number): Entry {
    const found = index <= staticTable.length ? staticTable[index - 1] : this.#table.at(-(index - staticTable.length));
    if (found === undefined) throw new CompressionError(`there is no entry ${index}`);
    return found;
  }

  #add(entry: Entry): void {
    this.#table.push(entry);
    this.#tableBytes += sizeOf(entry);
    this.#version++;
    this.#evict();
  }

  #resize(capacity: number): void {
    if (capacity > maxTableBytes) throw new CompressionError(`a table of ${capacity} bytes was not offered`);
    this.#capacity = capacity;
    this.#version++;
    this.#evict();
  }

  #evict(): void {
    let dropped = 0;
    while (this.#tableBytes > this.#capacity) this.#tableBytes -= sizeOf(this.#table[dropped++] as Entry);
    if (dropped > 0) this.#table.splice(0, dropped);
  }

  #integer(prefixBits: number): number {
    const mask = 2 ** prefixBits - 1;
    let value = this.#byte() & mask;
    if (value < mask) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      const byte = this.#byte();
      value += (byte & 0x7f) * 2 ** shift;
      if ((byte & 0x80) === 0) return value;
    }
    throw new CompressionError("an integer is too large");
  }

  #text(): string {
    const huffman = ((this.#buffer[this.#at] ?? 0) & 0x80) !== 0;
    const length = this.#integer(7);
    const start = this.#at;
    const end = start + length;
    if (end > this.#buffer.length) throw new CompressionError("a text is cut off");
    this.#at = end;
    if (!huffman) return latin1(this.#buffer, start, end);
    const text = decodeHuffman(this.#buffer, start, end);
    if (text === undefined) throw new CompressionError("a text is not Huffman-coded");
    return text;
  }

  #byte(): number {
    const byte = this.#buffer[this.#at++];
    if (byte === undefined) throw new CompressionError("the block is cut off");
    return byte;
  }
}

function sizeOf({ name, value }: Entry): number {
  return name.length + value.length + entryOverhead;
}

function latin1(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString("latin1");
}
