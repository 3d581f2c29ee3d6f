import { constants } from "node:http2";
import { type HeaderBlock, HpackDecoder } from "../wire/hpack-decoder.js";
import {
  ackFlag,
  endHeadersFlag,
  endStreamFlag,
  type Frame,
  FrameReader,
  FrameType,
  Http2Error,
  http2Preface,
  maxWindow,
  priorityFlag,
  withoutPadding,
} from "../wire/http2-frames.js";
import { type Http2RequestHead, readHttp2RequestHead } from "../wire/http2-request-head.js";
import { LastRead } from "../wire/last-read.js";

/** A block in more parts than this is no request's (CVE-2024-28182). */
const maxContinuations = 8;

/** A header block of a client. */
export interface ReceivedHeaders extends HeaderBlock {
  readonly stream: number;
  readonly endStream: boolean;
  /** Undefined when they are for Node to read. */
  readonly head: Http2RequestHead | undefined;
}

/** A header block whose rest is to come. */
interface OpenBlock {
  readonly frame: Frame;
  readonly parts: Buffer[];
  size: number;
}

/** Who is told what a client sends, once it is known to be well formed. */
export interface Http2InputHandler {
  headers(headers: ReceivedHeaders): void;
  /** Part of a body; its frame takes `frame.payload.length` of the windows. */
  data(frame: Frame, content: Buffer, endStream: boolean): void;
  reset(frame: Frame, code: number): void;
  /** Identifiers and values in turn. */
  settings(settings: readonly number[]): void;
  ping(payload: Buffer): void;
  goaway(): void;
  windowUpdate(frame: Frame, increment: number): void;
}

/** Reads what a client sends on an HTTP/2 connection, from its preface on. Throws what ends the connection. */
export class Http2Input {
  readonly #handler: Http2InputHandler;
  readonly #maxBlockBytes: number;
  readonly #frames = new FrameReader();
  readonly #hpack: HpackDecoder;
  #preface: Buffer | undefined = Buffer.alloc(0);
  #settled: boolean = false;
  #block: OpenBlock | undefined;
  #owedBefore: OpenBlock | undefined;
  /** The last block, and what it meant when the table was like that. */
  readonly #last = new LastRead<{
    readonly version: number;
    readonly read: HeaderBlock;
    readonly head: Http2RequestHead;
  }>();
  readonly #onFrame = (frame: Frame) => this.#take(frame);

  constructor(handler: Http2InputHandler, maxHeaderBytes: number) {
    this.#handler = handler;
    this.#hpack = new HpackDecoder(maxHeaderBytes);
    // Compressed, headers are hardly ever longer; what is longer is not read.
    this.#maxBlockBytes = 2 * maxHeaderBytes + 1024;
  }

  /** Whether the client still owes what it owed when this was asked before: the preface, or the rest of a header block. */
  stalled(): boolean {
    const before = this.#owedBefore;
    this.#owedBefore = this.#block;
    return this.#preface !== undefined || (this.#block !== undefined && this.#block === before);
  }

  read(chunk: Buffer): void {
    const rest = this.#preface === undefined ? chunk : this.#readPreface(this.#preface, chunk);
    if (rest.length > 0) this.#frames.read(rest, this.#onFrame);
  }

  #readPreface(before: Buffer, chunk: Buffer): Buffer {
    const seen = before.length === 0 ? chunk : Buffer.concat([before, chunk]);
    const length = Math.min(seen.length, http2Preface.length);
    if (seen.compare(http2Preface, 0, length, 0, length) !== 0)
      throw protocolError("it does not begin with the preface");
    this.#preface = length < http2Preface.length ? Buffer.from(seen) : undefined;
    return seen.subarray(length);
  }

  #take(frame: Frame): void {
    const { type, flags, stream, payload } = frame;
    if (this.#block !== undefined && (type !== FrameType.continuation || stream !== this.#block.frame.stream)) {
      throw protocolError("a header block is interrupted");
    }
    if (!this.#settled) {
      if (type !== FrameType.settings || (flags & ackFlag) !== 0) throw protocolError("the first frame is no SETTINGS");
      this.#settled = true;
    }
    switch (type) {
      case FrameType.data:
        this.#handler.data(frame, requirePadded(onStream(frame)), (flags & endStreamFlag) !== 0);
        return;
      case FrameType.headers:
        this.#onHeaders(onStream(frame));
        return;
      case FrameType.continuation:
        this.#onContinuation(frame);
        return;
      case FrameType.priority:
        requireSize(onStream(frame), 5);
        return;
      case FrameType.rstStream:
        requireSize(onStream(frame), 4);
        this.#handler.reset(frame, payload.readUInt32BE(0));
        return;
      case FrameType.settings:
        this.#onSettings(onConnection(frame));
        return;
      case FrameType.ping:
        requireSize(onConnection(frame), 8);
        if ((flags & ackFlag) === 0) this.#handler.ping(payload);
        return;
      case FrameType.goaway:
        if (onConnection(frame).payload.length < 8) throw wrongSize(frame);
        this.#handler.goaway();
        return;
      case FrameType.windowUpdate:
        requireSize(frame, 4);
        this.#handler.windowUpdate(frame, payload.readUInt32BE(0) & maxWindow);
        return;
      case FrameType.pushPromise:
        throw protocolError("a client pushes");
      // Others are extensions, to be ignored.
    }
  }

  #onHeaders(frame: Frame): void {
    const content = requirePadded(frame);
    const hasPriority = (frame.flags & priorityFlag) !== 0;
    if (hasPriority && content.length < 5) throw wrongSize(frame);
    const part = hasPriority ? content.subarray(5) : content;
    if ((frame.flags & endHeadersFlag) !== 0) this.#onBlock(frame, part);
    else this.#block = { frame, parts: [Buffer.from(part)], size: part.length };
  }

  #onContinuation({ flags, payload }: Frame): void {
    const block = this.#block;
    if (block === undefined) throw protocolError("CONTINUATION without HEADERS");
    block.size += payload.length;
    if (block.size > this.#maxBlockBytes || block.parts.length > maxContinuations) {
      throw new Http2Error(constants.NGHTTP2_ENHANCE_YOUR_CALM, "a header block is too large");
    }
    block.parts.push(Buffer.from(payload));
    if ((flags & endHeadersFlag) === 0) return;
    this.#block = undefined;
    this.#onBlock(block.frame, Buffer.concat(block.parts));
  }

  #onBlock({ stream, flags }: Frame, block: Buffer): void {
    const endStream = (flags & endStreamFlag) !== 0;
    const known = this.#last.length === block.length ? this.#last.find(block, 0) : undefined;
    if (known && known.version === this.#hpack.version) {
      const { list, tooLarge } = known.read;
      this.#handler.headers({ stream, endStream, list, tooLarge, head: known.head });
      return;
    }
    const { version } = this.#hpack;
    const read = this.#hpack.decode(block);
    const { list, tooLarge } = read;
    const head = tooLarge ? undefined : readHttp2RequestHead(list);
    // A block that changes the table does so every time.
    if (head && version === this.#hpack.version) this.#last.set(block, 0, block.length, { version, read, head });
    this.#handler.headers({ stream, endStream, list, tooLarge, head });
  }

  #onSettings(frame: Frame): void {
    const { flags, payload } = frame;
    if ((flags & ackFlag) !== 0) {
      requireSize(frame, 0);
      return;
    }
    if (payload.length % 6 !== 0) throw wrongSize(frame);
    const settings: number[] = [];
    for (let at = 0; at < payload.length; at += 6)
      settings.push(payload.readUInt16BE(at), payload.readUInt32BE(at + 2));
    this.#handler.settings(settings);
  }
}

function onStream(frame: Frame): Frame {
  if (frame.stream === 0) throw protocolError("a frame of a stream names none");
  return frame;
}

function onConnection(frame: Frame): Frame {
  if (frame.stream !== 0) throw protocolError("a frame of the connection names a stream");
  return frame;
}

function requireSize(frame: Frame, size: number): void {
  if (frame.payload.length !== size) throw wrongSize(frame);
}

function requirePadded(frame: Frame): Buffer {
  const content = withoutPadding(frame);
  if (content === undefined) throw protocolError("padding is longer than its frame");
  return content;
}

export function protocolError(why: string): Http2Error {
  return new Http2Error(constants.NGHTTP2_PROTOCOL_ERROR, why);
}

export function flowControlError(): Http2Error {
  return new Http2Error(constants.NGHTTP2_FLOW_CONTROL_ERROR, "a window is exceeded");
}

function wrongSize({ type, payload }: Frame): Http2Error {
  return new Http2Error(constants.NGHTTP2_FRAME_SIZE_ERROR, `a frame of type ${type} with ${payload.length} bytes`);
}

/** The first request in a connection's first bytes, if it is there as a whole. Throws as {@link Http2Input} does. */
export function peekFirstRequest(bytes: Buffer, maxHeaderBytes: number): ReceivedHeaders | undefined {
  let first: ReceivedHeaders | undefined;
  const ignore = () => {};
  const handler: Http2InputHandler = {
    headers(headers) {
      first ??= headers;
    },
    data: ignore,
    reset: ignore,
    settings: ignore,
    ping: ignore,
    goaway: ignore,
    windowUpdate: ignore,
  };
  new Http2Input(handler, maxHeaderBytes).read(bytes);
  return first;
}
