/** The ids that PostgreSQL gives to its types, for ever. */
const oids = { bytea: 17, int8: 20, int4: 23, text: 25, uuid: 2950 } as const;

type Element = keyof typeof oids;

/** An array in PostgreSQL's binary format: bytes travel as they are, and nothing needs quoting. */
export function encodeArray(type: Element, elements: readonly (Uint8Array | null)[]): Buffer {
  const size = elements.reduce((sum, element) => sum + 4 + (element?.byteLength ?? 0), 20);
  const buffer = Buffer.allocUnsafe(size);
  buffer.writeInt32BE(1, 0); // dimensions
  buffer.writeInt32BE(1, 4); // may hold nulls
  buffer.writeInt32BE(oids[type], 8);
  buffer.writeInt32BE(elements.length, 12);
  buffer.writeInt32BE(1, 16); // the first index
  let at = 20;
  for (const element of elements) {
    at = buffer.writeInt32BE(element?.byteLength ?? -1, at);
    if (element === null) continue;
    buffer.set(element, at);
    at += element.byteLength;
  }
  return buffer;
}

export const encodeTexts = (texts: readonly (string | null)[]): Buffer =>
  encodeArray(
    "text",
    texts.map((text) => (text === null ? null : Buffer.from(text))),
  );

export const encodeInt4s = (numbers: readonly number[]): Buffer =>
  encodeArray(
    "int4",
    numbers.map((number) => {
      const bytes = Buffer.allocUnsafe(4);
      bytes.writeInt32BE(number);
      return bytes;
    }),
  );

export const encodeInt8s = (numbers: readonly (number | string | null)[]): Buffer =>
  encodeArray(
    "int8",
    numbers.map((number) => {
      if (number === null) return null;
      const bytes = Buffer.allocUnsafe(8);
      bytes.writeBigInt64BE(BigInt(number));
      return bytes;
    }),
  );

export const encodeUuids = (uuids: readonly (string | null)[]): Buffer =>
  encodeArray(
    "uuid",
    uuids.map((uuid) => (uuid === null ? null : Buffer.from(uuid.replaceAll("-", ""), "hex"))),
  );

/** The bytes themselves, as node-postgres wants them. */
export const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The elements of a text[] without nulls, quotes and backslashes, as it arrives. */
export const decodePlainArray = (text: string): string[] => {
  const inner = text.slice(1, -1);
  return inner === "" ? [] : inner.split(",").map((element) => (element === '""' ? "" : element));
};
