import { Code, ConnectError } from "@connectrpc/connect";
import { readLimitError } from "./limits.js";

/** Bits of an envelope's first byte. */
export const compressedFlag = 0b0000_0001;
export const connectEndFlag = 0b0000_0010;
export const grpcWebTrailerFlag = 0b1000_0000;

const headerBytes = 5;

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
  #pending: Uint8Array[] = [];
  #size = 0;
  /** How many bytes must be there before it is worth looking again. */
  #wanted = headerBytes;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Takes a chunk and gives what is complete. */
  read(chunk: Uint8Array, take: (envelope: Envelope) => void): void {
    let buffer = chunk;
    if (this.#size > 0) {
      this.#pending.push(chunk);
      this.#size += chunk.length;
      if (this.#size < this.#wanted) return;
      buffer = Buffer.concat(this.#pending, this.#size);
      this.#pending = [];
      this.#size = 0;
    }
    let offset = 0;
    this.#wanted = headerBytes;
    while (buffer.length - offset >= headerBytes) {
      const length = readLength(buffer, offset);
      if (length > this.#maxBytes) throw readLimitError(this.#maxBytes, length);
      const start = offset + headerBytes;
      if (buffer.length - start < length) {
        this.#wanted = headerBytes + length;
        break;
      }
      take({ flags: buffer[offset] as number, data: new Uint8Array(buffer.subarray(start, start + length)) });
      offset = start + length;
    }
    if (offset < buffer.length) {
      // A copy, unless the rest is most of the chunk anyway: what is kept must not pin what is done.
      const rest = buffer.subarray(offset);
      this.#pending.push(rest.length * 2 < buffer.buffer.byteLength ? new Uint8Array(rest) : rest);
      this.#size = rest.length;
    }
  }

  /** The stream has ended: nothing may be left over. */
  end(): void {
    if (this.#size > 0) throw new ConnectError("protocol error: incomplete envelope", Code.InvalidArgument);
  }
}

function readLength(buffer: Uint8Array, offset: number): number {
  return (
    (buffer[offset + 1] as number) * 0x1_00_00_00 +
    (((buffer[offset + 2] as number) << 16) | ((buffer[offset + 3] as number) << 8) | (buffer[offset + 4] as number))
  );
}

/** One envelope as bytes. */
export function encodeEnvelope(flags: number, data: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(headerBytes + data.length);
  writeEnvelope(frame, 0, flags, data);
  return frame;
}

/** Several envelopes as one run of bytes, for one write. */
export function encodeEnvelopes(envelopes: readonly Envelope[]): Buffer {
  let size = 0;
  for (const { data } of envelopes) size += headerBytes + data.length;
  const frames = Buffer.allocUnsafe(size);
  let offset = 0;
  for (const { flags, data } of envelopes) offset = writeEnvelope(frames, offset, flags, data);
  return frames;
}

function writeEnvelope(target: Buffer, offset: number, flags: number, data: Uint8Array): number {
  target[offset] = flags;
  target.writeUInt32BE(data.length, offset + 1);
  target.set(data, offset + headerBytes);
  return offset + headerBytes + data.length;
}
