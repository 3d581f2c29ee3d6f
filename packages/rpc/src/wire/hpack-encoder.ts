import { staticTable } from "./hpack-static-table.js";

/** Where the wire's table knows a name; the first of several. */
const nameIndexes = new Map<string, number>();
for (const [index, { name }] of staticTable.entries()) if (!nameIndexes.has(name)) nameIndexes.set(name, index + 1);

/** Where it knows a name with a value. */
const indexes = new Map(staticTable.map(({ name, value }, index) => [`${name}\n${value}`, index + 1] as const));

/**
 * Tells the client, at the start of a connection's first block, that the table for what was said before stays empty: no block refers to another one,
 * and so each can be made by anybody, at any time.
 */
export const emptyTable = 0x20;

/** Writes headers, names and values in turn, as a block that refers to none before it. */
export function encodeHeaders(list: readonly string[]): Buffer {
  let size = 0;
  // An integer takes at most 5 bytes here; three of them and a first byte surround the text.
  for (const text of list) size += Buffer.byteLength(text, "latin1") + 10;
  const block = Buffer.allocUnsafe(size);
  let at = 0;
  for (let index = 0; index < list.length; index += 2) {
    const name = list[index] as string;
    const value = list[index + 1] as string;
    const known = indexes.get(`${name}\n${value}`);
    if (known !== undefined) {
      at = writeInteger(block, at, 0x80, 7, known);
      continue;
    }
    const nameIndex = nameIndexes.get(name) ?? 0;
    at = writeInteger(block, at, 0x00, 4, nameIndex);
    if (nameIndex === 0) at = writeText(block, at, name);
    at = writeText(block, at, value);
  }
  return block.subarray(0, at);
}

function writeText(block: Buffer, at: number, text: string): number {
  const start = writeInteger(block, at, 0x00, 7, text.length);
  return start + block.write(text, start, "latin1");
}

function writeInteger(block: Buffer, at: number, flags: number, prefixBits: number, value: number): number {
  const mask = 2 ** prefixBits - 1;
  if (value < mask) {
    block[at] = flags | value;
    return at + 1;
  }
  block[at] = flags | mask;
  let rest = value - mask;
  let next = at + 1;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) block[next++] = (rest % 0x80) | 0x80;
  block[next++] = rest;
  return next;
}
