import type { StateItem } from "@mecha/component";

/** What a set stores behind the head that the script writes: the length of the content type, the content type, the value. */
export function encodePayload(contentType: string, value: Uint8Array): Buffer {
  const typeLength = Buffer.byteLength(contentType);
  const payload = Buffer.allocUnsafe(2 + typeLength + value.length);
  payload.writeUInt16BE(typeLength, 0);
  payload.write(contentType, 2);
  payload.set(value, 2 + typeLength);
  return payload;
}

const nothing = new Uint8Array();

/** An item as it is stored: length of the etag, etag, update time, expiry time or 0, payload. */
export function decodeItem(key: string, stored: Buffer, keysOnly = false): StateItem {
  const times = 1 + stored.readUInt8(0);
  const expireTime = stored.readDoubleBE(times + 8);
  const typeAt = times + 18;
  const valueAt = typeAt + stored.readUInt16BE(times + 16);
  return {
    key,
    value: keysOnly ? nothing : detach(stored, valueAt),
    contentType: stored.toString("utf8", typeAt, valueAt),
    etag: stored.toString("latin1", 1, times),
    expireTime: expireTime === 0 ? undefined : expireTime,
    updateTime: stored.readDoubleBE(times),
  };
}

/**
 * The bytes from `start` on. They stand in the chunk in which they came from the socket, with the answers of other calls; copied where they
 * would keep much more memory alive than they are. Small copies come from Buffer's pool: an ArrayBuffer of its own for each costs more than
 * the whole call.
 */
export function detach({ buffer, byteOffset, length }: Buffer, start: number): Uint8Array {
  const value = new Uint8Array(buffer, byteOffset + start, length - start);
  if (value.length * 2 >= buffer.byteLength) return value;
  const copy = Buffer.allocUnsafe(value.length);
  copy.set(value);
  return new Uint8Array(copy.buffer, copy.byteOffset, copy.length);
}
