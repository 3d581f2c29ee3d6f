/** Frames of HTTP/2 (RFC 9113, section 6). */
export const FrameType = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

/** What every client's connection begins with. */
export const http2Preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

export const endStreamFlag = 0x1;
export const ackFlag = 0x1;
export const endHeadersFlag = 0x4;
export const paddedFlag = 0x8;
export const priorityFlag = 0x20;

export const frameHeaderBytes = 9;
/** The largest payload, unless its receiver allows more. */
export const maxFrameBytes = 16_384;
export const maxWindow = 2 ** 31 - 1;
/** The window of a connection, and of each stream unless the settings say otherwise. */
export const defaultWindow = 65_535;

/** What a connection is ended for (RFC 9113, section 7). */
export class Http2Error extends Error {
  constructor(
    readonly code: number,
    message: string,
  ) {
    super(message);
  }
}

/** A frame as it came. Its payload is a view. */
export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** Cuts a stream of chunks into frames. */
export class FrameReader {
  #rest: Buffer | undefined;

  /** Gives the frames that are complete. Throws where a frame is too large. */
  read(chunk: Buffer, take: (frame: Frame) => void): void {
    const buffer = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = undefined;
    let at = 0;
    while (buffer.length - at >= frameHeaderBytes) {
      const length = readUint24(buffer, at);
      if (length > maxFrameBytes) throw new Http2Error(0x6, `a frame of ${length} bytes is too large`);
      const start = at + frameHeaderBytes;
      if (buffer.length - start < length) break;
      const stream = buffer.readUInt32BE(at + 5) & maxWindow;
      const end = start + length;
      take({
        type: buffer[at + 3] as number,
        flags: buffer[at + 4] as number,
        stream,
        payload: buffer.subarray(start, end),
      });
      at = end;
    }
    // A copy: a view would keep all that came with it.
    if (at < buffer.length) this.#rest = Buffer.from(buffer.subarray(at));
  }
}

/** Writes a frame's header; gives where its payload begins. */
export function writeFrameHeader(
  target: Buffer,
  at: number,
  length: number,
  type: number,
  flags: number,
  stream: number,
): number {
  target[at] = length >> 16;
  target[at + 1] = length >> 8;
  target[at + 2] = length;
  target[at + 3] = type;
  target[at + 4] = flags;
  target.writeUInt32BE(stream, at + 5);
  return at + frameHeaderBytes;
}

/** A whole frame. */
export function encodeFrame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(frameHeaderBytes + payload.length);
  frame.set(payload, writeFrameHeader(frame, 0, payload.length, type, flags, stream));
  return frame;
}

/** A frame whose payload is one number: RST_STREAM or WINDOW_UPDATE. */
export function encodeNumberFrame(type: number, stream: number, value: number): Buffer {
  const frame = Buffer.allocUnsafe(frameHeaderBytes + 4);
  frame.writeUInt32BE(value, writeFrameHeader(frame, 0, 4, type, 0, stream));
  return frame;
}

/** A header block as a HEADERS frame and what CONTINUATION it takes. */
export function encodeHeaderFrames(stream: number, block: Uint8Array, endStream: boolean): Buffer {
  const flags = endStream ? endStreamFlag : 0;
  if (block.length <= maxFrameBytes) return encodeFrame(FrameType.headers, flags | endHeadersFlag, stream, block);
  const frames = [encodeFrame(FrameType.headers, flags, stream, block.subarray(0, maxFrameBytes))];
  for (let at = maxFrameBytes; at < block.length; at += maxFrameBytes) {
    const last = at + maxFrameBytes >= block.length;
    const part = block.subarray(at, at + maxFrameBytes);
    frames.push(encodeFrame(FrameType.continuation, last ? endHeadersFlag : 0, stream, part));
  }
  return Buffer.concat(frames);
}

/** A SETTINGS frame from identifiers and values in turn. */
export function encodeSettings(settings: readonly number[]): Buffer {
  const payload = Buffer.allocUnsafe((settings.length / 2) * 6);
  for (let index = 0; index < settings.length; index += 2) {
    payload.writeUInt16BE(settings[index] as number, index * 3);
    payload.writeUInt32BE(settings[index + 1] as number, index * 3 + 2);
  }
  return encodeFrame(FrameType.settings, 0, 0, payload);
}

/** The content of a padded frame, or undefined if its padding is longer than it. */
export function withoutPadding({ flags, payload }: Frame): Buffer | undefined {
  if ((flags & paddedFlag) === 0) return payload;
  const padding = payload[0];
  if (padding === undefined || padding >= payload.length) return undefined;
  return payload.subarray(1, payload.length - padding);
}

export function readUint24(buffer: Buffer, at: number): number {
  return ((buffer[at] as number) << 16) | ((buffer[at + 1] as number) << 8) | (buffer[at + 2] as number);
}
