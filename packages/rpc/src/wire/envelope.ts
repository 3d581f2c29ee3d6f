import { Code, ConnectError } from "@connectrpc/connect";
import { readLimitError } from "./limits.js";

/** Bits of an envelope's first byte. */
export const compressedFlag = 0b0000_0001;
export const connectEndFlag = 0b0000_0010;
export const grpcWebTrailerFlag = 0b1000_0000;

export const envelopeHeaderBytes = 5;

/** A message as it travels: flags, then a length of four bytes, then the data. */
export interface Envelope {
  readonly flags: number;
  readonly data: Uint8Array;
}

/**
 * Cuts a stream of chunks into envelopes. Each message gets bytes of its own: decoded `bytes` fields are views of them, and must
 * neither change with a reused buffer nor keep a large chunk alive.
 */
export class EnvelopeReader {
  readonly #maxBytes: number;
  /** A header that is not complete: at most four bytes. */
  #header: Uint8Array = nothing;
  /** The message that is not complete, in parts. */
  #parts: Uint8Array[] = [];
  #flags = 0;
  #length = 0;
  #missing = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Takes a chunk and gives what is complete. */
  read(chunk: Uint8Array, take: (envelope: Envelope) => void): void {
    let buffer = chunk;
    let offset = 0;
    if (this.#missing > 0) {
      offset = Math.min(this.#missing, buffer.length);
      this.#keep(buffer.subarray(0, offset));
      if (this.#missing > 0) return;
      take({ flags: this.#flags, data: this.#join() });
    } else if (this.#header.length > 0) {
      buffer = Buffer.concat([this.#header, buffer]);
      this.#header = nothing;
    }
    while (buffer.length - offset >= envelopeHeaderBytes) {
      const flags = buffer[offset] as number;
      const length = readLength(buffer, offset);
      if (length > this.#maxBytes) throw readLimitError(this.#maxBytes, length);
      offset += envelopeHeaderBytes;
      if (buffer.length - offset < length) {
        this.#flags = flags;
        this.#length = length;
        this.#missing = length;
        this.#keep(buffer.subarray(offset));
        return;
      }
      take({ flags, data: new Uint8Array(buffer.subarray(offset, offset + length)) });
      offset += length;
    }
    if (offset < buffer.length) this.#header = new Uint8Array(buffer.subarray(offset));
  }

  /** The stream has ended: nothing may be left over. */
  end(): void {
    if (this.#missing > 0 || this.#header.length > 0) {
      throw new ConnectError("protocol error: incomplete envelope", Code.InvalidArgument);
    }
  }

  /** Keeps a part of a message; a small one as a copy, because bytes that drip in would each keep a whole chunk alive. */
  #keep(part: Uint8Array): void {
    this.#missing -= part.length;
    if (part.length > 0) this.#parts.push(part.length * 2 < part.buffer.byteLength ? new Uint8Array(part) : part);
  }

  #join(): Uint8Array {
    const data = new Uint8Array(this.#length);
    let offset = 0;
    for (const part of this.#parts) {
      data.set(part, offset);
      offset += part.length;
    }
    this.#parts = [];
    return data;
  }
}

const nothing = new Uint8Array(0);

function readLength(buffer: Uint8Array, offset: number): number {
  return (
    (buffer[offset + 1] as number) * 0x1_00_00_00 +
    (((buffer[offset + 2] as number) << 16) | ((buffer[offset + 3] as number) << 8) | (buffer[offset + 4] as number))
  );
}

/** One envelope as bytes. */
export function encodeEnvelope(flags: number, data: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(envelopeHeaderBytes + data.length);
  writeEnvelope(frame, 0, flags, data);
  return frame;
}

/** Several envelopes as one run of bytes, for one write. */
export function encodeEnvelopes(envelopes: readonly Envelope[]): Buffer {
  let size = 0;
  for (const { data } of envelopes) size += envelopeHeaderBytes + data.length;
  const frames = Buffer.allocUnsafe(size);
  let offset = 0;
  for (const { flags, data } of envelopes) offset = writeEnvelope(frames, offset, flags, data);
  return frames;
}

function writeEnvelope(target: Buffer, offset: number, flags: number, data: Uint8Array): number {
  target[offset] = flags;
  target.writeUInt32BE(data.length, offset + 1);
  target.set(data, offset + envelopeHeaderBytes);
  return offset + envelopeHeaderBytes + data.length;
}
