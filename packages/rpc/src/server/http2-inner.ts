import { Duplex } from "node:stream";
import { encodeHeaders } from "../wire/hpack-encoder.js";
import {
  ackFlag,
  encodeFrame,
  encodeHeaderFrames,
  encodeNumberFrame,
  encodeSettings,
  endStreamFlag,
  type Frame,
  FrameReader,
  FrameType,
  http2Preface,
  maxWindow,
} from "../wire/http2-frames.js";
import type { Http2Output } from "./http2-output.js";

/** What of the client's connection `node:http2` is told, and tells. */
export interface OuterConnection {
  readonly output: Http2Output;
  /** Gives the client room for so many bytes. */
  credit(bytes: number): void;
  /** A stream has closed. */
  passedStreamClosed(): void;
  /** The session has ended. */
  innerClosed(): void;
  /** `node:http2` has ended the connection. */
  end(code: number): void;
}

/** Settings of the client that matter to whoever answers it. */
export interface ClientSettings {
  initialWindow: number;
  maxHeaderListBytes: number | undefined;
}

/** Which sides of a stream have ended. */
interface Sides {
  client: boolean;
  server: boolean;
}

/**
 * The way of some streams of a connection to `node:http2`: their frames, under the same numbers, to and from a session that takes this for its client.
 * Header blocks are written so that none refers to another, and can be passed on as they are. The windows are the client's, stream by stream; the
 * connection's is shared with the streams that are served directly.
 */
export class Http2Inner {
  readonly #outer: OuterConnection;
  readonly #frames = new FrameReader();
  readonly #duplex: Duplex;
  readonly #streams = new Map<number, Sides>();
  /** What `node:http2` has sent and the client's window does not let through yet. */
  #queue: Frame[] = [];
  /** So many bytes came from the client for which `node:http2` has made no room yet. */
  #owed = 0;
  /** `node:http2` waits for this before it sends more. */
  #taken: (() => void) | undefined;

  constructor(outer: OuterConnection, settings: ClientSettings, inject: (connection: Duplex) => void) {
    this.#outer = outer;
    this.#duplex = new Duplex({
      read() {},
      write: (chunk: Buffer, _encoding, done) => this.#onOutput(chunk, done),
    });
    this.#duplex.on("error", () => {});
    this.#duplex.once("close", () => outer.innerClosed());
    this.#push(http2Preface);
    // A table of no size: its header blocks must not refer to each other.
    const list = [1, 0, 2, 0, 4, settings.initialWindow];
    if (settings.maxHeaderListBytes !== undefined) list.push(6, settings.maxHeaderListBytes);
    this.#push(encodeSettings(list));
    inject(this.#duplex);
  }

  /** How many streams are open. */
  get size(): number {
    return this.#streams.size;
  }

  has(stream: number): boolean {
    return this.#streams.has(stream);
  }

  /** Passes a header block on, as names and values in turn; the first of a stream opens it. */
  headers(stream: number, list: readonly string[], endStream: boolean): void {
    if (!this.#streams.has(stream)) this.#streams.set(stream, { client: false, server: false });
    this.#push(encodeHeaderFrames(stream, encodeHeaders(list), endStream));
    if (endStream) this.#ended(stream, "client");
  }

  /** Passes another frame of an open stream on. */
  frame({ type, flags, stream, payload }: Frame): void {
    // First: room may be made for it before the push returns.
    if (type === FrameType.data) this.#owed += payload.length;
    this.#push(encodeFrame(type, flags, stream, payload));
    if (type === FrameType.rstStream) this.#close(stream);
    if (type === FrameType.data && (flags & endStreamFlag) !== 0) this.#ended(stream, "client");
  }

  /** The client has changed how much each stream may send. */
  initialWindow(bytes: number): void {
    this.#push(encodeSettings([4, bytes]));
  }

  /** The client's window or socket takes more. */
  goOn(): void {
    const queue = this.#queue;
    this.#queue = [];
    for (const frame of queue) this.#send(frame);
    if (this.#queue.length > 0 || this.#outer.output.full) return;
    const taken = this.#taken;
    this.#taken = undefined;
    taken?.();
  }

  /** The client's connection is gone. */
  destroy(): void {
    this.#queue = [];
    this.#streams.clear();
    this.#duplex.destroy();
  }

  #push(bytes: Buffer): void {
    if (!this.#duplex.destroyed) this.#duplex.push(bytes);
  }

  #onOutput(chunk: Buffer, done: (error?: Error) => void): void {
    this.#frames.read(chunk, (frame) => this.#onFrame(frame));
    if (this.#queue.length === 0 && !this.#outer.output.full) done();
    else this.#taken = done;
  }

  #onFrame(frame: Frame): void {
    const { type, flags, stream, payload } = frame;
    switch (type) {
      case FrameType.settings:
        if ((flags & ackFlag) === 0) this.#push(encodeFrame(FrameType.settings, ackFlag, 0, nothing));
        return;
      case FrameType.ping:
        if ((flags & ackFlag) === 0) this.#push(encodeFrame(FrameType.ping, ackFlag, 0, payload));
        return;
      case FrameType.goaway: {
        const code = payload.readUInt32BE(4);
        // Without an error it only drains, as the client's connection does by itself.
        if (code !== 0) this.#outer.end(code);
        return;
      }
      case FrameType.windowUpdate:
        if (stream === 0) this.#onCredit(payload.readUInt32BE(0) & maxWindow);
        else this.#outer.output.push(encodeFrame(type, flags, stream, payload));
        return;
      default:
        this.#send(frame);
    }
  }

  /** The session's window begins larger than the client's share of it: no more is given back than came. */
  #onCredit(bytes: number): void {
    const credit = Math.min(bytes, this.#owed);
    this.#owed -= credit;
    if (credit > 0) this.#outer.credit(credit);
  }

  /** In order: behind one that waits, all wait. */
  #send(frame: Frame): void {
    const waits = this.#queue.length > 0 || this.#outer.output.full ? frame : this.#pass(frame);
    if (waits !== undefined) this.#queue.push(waits);
  }

  /** Sends a frame on to the client; what its window is too small for comes back. */
  #pass({ type, flags, stream, payload }: Frame): Frame | undefined {
    const { output } = this.#outer;
    const isData = type === FrameType.data;
    const size = isData ? Math.min(payload.length, output.window) : payload.length;
    const whole = size === payload.length;
    if (whole || size > 0) {
      const part = whole ? payload : payload.subarray(0, size);
      output.push(encodeFrame(type, whole ? flags : flags & ~endStreamFlag, stream, part));
      if (isData && size > 0) {
        output.window -= size;
        this.#push(encodeNumberFrame(FrameType.windowUpdate, 0, size));
      }
    }
    if (!whole) return { type, flags, stream, payload: payload.subarray(Math.max(size, 0)) };
    if (type === FrameType.rstStream) this.#close(stream);
    else if ((isData || type === FrameType.headers) && (flags & endStreamFlag) !== 0) this.#ended(stream, "server");
    return undefined;
  }

  #ended(stream: number, side: keyof Sides): void {
    const sides = this.#streams.get(stream);
    if (sides === undefined) return;
    sides[side] = true;
    if (sides.client && sides.server) this.#close(stream);
  }

  #close(stream: number): void {
    if (this.#streams.delete(stream)) this.#outer.passedStreamClosed();
  }
}

const nothing = Buffer.alloc(0);
