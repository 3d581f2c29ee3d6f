import type { Socket } from "node:net";
import { emptyTable, encodeHeaders } from "../wire/hpack-encoder.js";
import { httpDate } from "../wire/http-date.js";
import {
  defaultWindow,
  encodeHeaderFrames,
  endHeadersFlag,
  endStreamFlag,
  FrameType,
  frameHeaderBytes,
  maxFrameBytes,
  writeFrameHeader,
} from "../wire/http2-frames.js";
import type { Http2DirectExchange, Http2Response } from "./http2-direct-exchange.js";

/** So much is gathered before a write, even within one turn. */
const batchBytes = 64 * 1024;

/** What waits for the client's windows, of a body that may go on. */
interface Waiting {
  body: Uint8Array;
  offset: number;
  /** Whether nothing more comes. */
  whole: boolean;
  /** HEADERS that end the stream, behind the body. */
  trailers: Buffer | undefined;
}

/** What an output tells. */
export interface Http2OutputEvents {
  /** The whole of a response is on its way. */
  sent(exchange: Http2DirectExchange): void;
  /** The client does not take at once what was written. */
  stuck(): void;
}

/**
 * What a connection sends: the frames of one turn in one write, bodies as far as the client's windows let them.
 */
export class Http2Output {
  readonly #socket: Socket;
  readonly #events: Http2OutputEvents;
  readonly #waiting = new Map<Http2DirectExchange, Waiting>();
  #batch: Buffer[] = [];
  #size = 0;
  #scheduled: boolean = false;
  #started: boolean = false;
  /** How much the client lets the connection send. */
  window = defaultWindow;
  /** Its socket takes no more; told to go on by {@link drained}. */
  full: boolean = false;
  /** The block of trailers that was sent last; most say the same. */
  #lastTrailers: { readonly list: readonly string[]; readonly block: Buffer } | undefined;
  readonly #flush = () => this.flush();

  constructor(socket: Socket, events: Http2OutputEvents) {
    this.#socket = socket;
    this.#events = events;
  }

  /** Adds frames to this turn's write. */
  push(frames: Buffer): void {
    this.#batch.push(frames);
    this.#size += frames.length;
    if (this.#size >= batchBytes) this.flush();
    else if (!this.#scheduled) {
      this.#scheduled = true;
      process.nextTick(this.#flush);
    }
  }

  flush(): void {
    this.#scheduled = false;
    const batch = this.#batch;
    if (batch.length === 0) return;
    this.#batch = [];
    this.#size = 0;
    const socket = this.#socket;
    if (socket.destroyed || socket.writableEnded) return;
    const [first] = batch;
    this.full = !socket.write(batch.length === 1 && first ? first : Buffer.concat(batch));
    if (socket.writableLength > 0) this.#events.stuck();
  }

  /** The socket takes more again. */
  drained(): void {
    this.full = false;
    this.pump();
  }

  /** Sends a response. */
  send(exchange: Http2DirectExchange, { status, headers, body, trailers }: Http2Response): void {
    const { id } = exchange;
    const block = this.#startBlock(encodeResponseHeaders(status, headers));
    const trailerBlock = trailers && this.#encodeTrailers(trailers);
    const fits =
      body.length <= maxFrameBytes && body.length <= this.window && body.length <= exchange.sendWindow && !this.full;
    const small = block.length <= maxFrameBytes && (trailerBlock?.length ?? 0) <= maxFrameBytes;
    if (fits && small) {
      this.#sendWhole(exchange, block, body, trailerBlock);
      return;
    }
    const ends = body.length === 0 && trailerBlock === undefined;
    this.push(encodeHeaderFrames(id, block, ends));
    const trailerFrames = trailerBlock && encodeHeaderFrames(id, trailerBlock, true);
    if (body.length === 0) {
      if (trailerFrames) this.push(trailerFrames);
      this.#events.sent(exchange);
      return;
    }
    this.#waiting.set(exchange, { body, offset: 0, whole: true, trailers: trailerFrames });
    exchange.watchUnread();
    this.pump();
  }

  /** Sends the head of a response whose body comes in parts. */
  begin({ id }: Http2DirectExchange, headers: readonly string[]): void {
    this.push(encodeHeaderFrames(id, this.#startBlock(encodeResponseHeaders(200, headers)), false));
  }

  /** Sends a part of it; says whether nothing of it waits. */
  write(exchange: Http2DirectExchange, bytes: Uint8Array): boolean {
    const before = this.#waiting.get(exchange);
    if (before) {
      before.body = Buffer.concat([before.body.subarray(before.offset), bytes]);
      before.offset = 0;
      return false;
    }
    const waiting = { body: bytes, offset: 0, whole: false, trailers: undefined };
    if (this.#sendPart(exchange, waiting)) return true;
    this.#waiting.set(exchange, waiting);
    return false;
  }

  /** Ends it, behind what waits. */
  finish(exchange: Http2DirectExchange, trailers: readonly string[]): void {
    const frames = encodeHeaderFrames(exchange.id, this.#encodeTrailers(trailers), true);
    const waiting = this.#waiting.get(exchange);
    if (waiting) {
      waiting.whole = true;
      waiting.trailers = frames;
      exchange.watchUnread();
    } else {
      this.push(frames);
      this.#events.sent(exchange);
    }
  }

  /** Sends on what waits, as far as the windows allow now. */
  pump(): void {
    for (const [exchange, waiting] of this.#waiting) {
      if (this.full || this.window <= 0) return;
      this.#sendOn(exchange, waiting);
      // Who has used the windows up is the last to use them next time.
      if (this.full || this.window <= 0) this.#moveBack(exchange, waiting);
    }
  }

  #moveBack(exchange: Http2DirectExchange, waiting: Waiting): void {
    if (this.#waiting.get(exchange) !== waiting) return;
    this.#waiting.delete(exchange);
    this.#waiting.set(exchange, waiting);
  }

  /** Whether a response waits for its client. */
  waits(exchange: Http2DirectExchange): boolean {
    return this.#waiting.has(exchange);
  }

  /** The stream is closed: nothing more is sent on it. */
  forget(exchange: Http2DirectExchange): void {
    this.#waiting.delete(exchange);
  }

  /** The whole response as one buffer. */
  #sendWhole(exchange: Http2DirectExchange, block: Buffer, body: Uint8Array, trailers: Buffer | undefined): void {
    const { id } = exchange;
    const dataBytes = body.length === 0 ? 0 : frameHeaderBytes + body.length;
    const trailerBytes = trailers === undefined ? 0 : frameHeaderBytes + trailers.length;
    const frames = Buffer.allocUnsafe(frameHeaderBytes + block.length + dataBytes + trailerBytes);
    const headersEnd = dataBytes + trailerBytes === 0 ? endStreamFlag : 0;
    let at = writeFrameHeader(frames, 0, block.length, FrameType.headers, endHeadersFlag | headersEnd, id);
    frames.set(block, at);
    at += block.length;
    if (dataBytes > 0) {
      at = writeFrameHeader(frames, at, body.length, FrameType.data, trailers === undefined ? endStreamFlag : 0, id);
      frames.set(body, at);
      at += body.length;
      this.window -= body.length;
      exchange.sendWindow -= body.length;
    }
    if (trailers !== undefined) {
      at = writeFrameHeader(frames, at, trailers.length, FrameType.headers, endHeadersFlag | endStreamFlag, id);
      frames.set(trailers, at);
    }
    this.push(frames);
    this.#events.sent(exchange);
  }

  #sendOn(exchange: Http2DirectExchange, waiting: Waiting): void {
    if (!this.#sendPart(exchange, waiting)) return;
    this.#waiting.delete(exchange);
    if (!waiting.whole) {
      exchange.onDrained();
      return;
    }
    if (waiting.trailers) this.push(waiting.trailers);
    this.#events.sent(exchange);
  }

  /** Sends what the windows let through; says whether that is all. */
  #sendPart(exchange: Http2DirectExchange, waiting: Waiting): boolean {
    const { body, trailers, whole } = waiting;
    while (waiting.offset < body.length) {
      const size = Math.min(body.length - waiting.offset, maxFrameBytes, this.window, exchange.sendWindow);
      if (size <= 0 || this.full) return false;
      const part = body.subarray(waiting.offset, waiting.offset + size);
      waiting.offset += size;
      this.window -= size;
      exchange.sendWindow -= size;
      const ends = whole && waiting.offset === body.length && trailers === undefined;
      const frame = Buffer.allocUnsafe(frameHeaderBytes + size);
      frame.set(part, writeFrameHeader(frame, 0, size, FrameType.data, ends ? endStreamFlag : 0, exchange.id));
      this.push(frame);
    }
    return true;
  }

  #encodeTrailers(list: readonly string[]): Buffer {
    if (this.#lastTrailers?.list !== list) this.#lastTrailers = { list, block: encodeHeaders(list) };
    return this.#lastTrailers.block;
  }

  #startBlock(block: Buffer): Buffer {
    if (this.#started) return block;
    this.#started = true;
    return Buffer.concat([Buffer.of(emptyTable), block]);
  }
}

/** What a handler may set for HTTP/1.1, and HTTP/2 forbids (RFC 9113, section 8.2.2). */
const foreign = new Set(["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"]);

let common: { readonly type: string; readonly date: string; readonly block: Buffer } | undefined;

/** The header block of a response, with its date. */
function encodeResponseHeaders(status: number, headers: readonly string[]): Buffer {
  const date = httpDate();
  const type = headers[1] as string;
  const isCommon = status === 200 && headers.length === 2 && headers[0] === "content-type";
  if (isCommon && common?.type === type && common.date === date) return common.block;
  const list = [":status", String(status)];
  let dated = false;
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index] as string;
    if (foreign.has(name)) continue;
    if (name === "date") dated = true;
    list.push(name, headers[index + 1] as string);
  }
  if (!dated) list.push("date", date);
  const block = encodeHeaders(list);
  if (isCommon) common = { type, date, block };
  return block;
}
