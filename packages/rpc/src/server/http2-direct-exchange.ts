import { constants } from "node:http2";
import type { ConnectError } from "@connectrpc/connect";
import { toRequestHeaders } from "../call/lazy-headers.js";
import type { Http2RequestHead } from "../wire/http2-request-head.js";
import { readLimitError } from "../wire/limits.js";
import { toGoneError } from "../wire/reset-error.js";
import { BodyCollector, bodyTimedOut, empty } from "./body-collector.js";
import {
  type ExchangeEnvironment,
  type GrpcExchange,
  joinHeader,
  type StreamExchange,
  type StreamReader,
  toUrl,
} from "./exchange.js";
import { ReceiveWindow } from "./receive-window.js";
import { StreamInput } from "./stream-input.js";
import type { Watched } from "./watch.js";

/** How much a client may send on a stream before it is given more. */
export const streamWindow = 1024 * 1024;

/** A response to send: its header block is told by its list, the body and the trailers follow. */
export interface Http2Response {
  readonly status: number;
  readonly headers: readonly string[];
  readonly body: Uint8Array;
  readonly trailers: readonly string[] | undefined;
}

/** What an exchange needs of the connection that carries it. */
export interface DirectHttp2Connection {
  readonly environment: ExchangeEnvironment;
  readonly remoteAddress: string | undefined;
  /** Sends a response, as fast as the client's windows allow. */
  send(exchange: Http2DirectExchange, response: Http2Response): void;
  /** Sends the head of a response whose messages follow. */
  begin(exchange: Http2DirectExchange, headers: readonly string[]): void;
  /** Sends part of a response, as fast as the client's windows allow; says whether it is all on its way. */
  write(exchange: Http2DirectExchange, bytes: Uint8Array): boolean;
  /** Ends a response, behind what was written. */
  finish(exchange: Http2DirectExchange, trailers: readonly string[]): void;
  /** So many bytes of a request have been read. */
  consumed(exchange: Http2DirectExchange, bytes: number): void;
  /** Ends a stream at once. */
  resetStream(exchange: Http2DirectExchange, code: number): void;
}

/** An exchange over an HTTP/2 connection that is read here, without `node:http2`. */
export class Http2DirectExchange implements GrpcExchange, StreamExchange, Watched {
  readonly id: number;
  readonly head: Http2RequestHead;
  readonly #connection: DirectHttp2Connection;
  watchedUntil = 0;
  bagPlace = -1;
  /** The request has ended. */
  remoteEnded: boolean = false;
  /** The response has been sent, or waits for the client's windows. */
  answered: boolean = false;
  /** How much the client lets this stream send. */
  sendWindow: number;
  readonly receiveWindow = new ReceiveWindow(streamWindow);
  #received = 0;
  #closed: boolean = false;
  #closeCode: number | undefined;
  #read: ((chunk: Uint8Array) => void) | undefined;
  #end: (() => void) | undefined;
  #expired: (() => void) | undefined;
  #onGone: ((reason: ConnectError) => void) | undefined;
  #streamInput: StreamInput | undefined;
  #onStreamGone: ((reason: ConnectError) => void) | undefined;
  #onDrained: (() => void) | undefined;
  /** Whether a part of the response waits for the client's windows. */
  #blocked: boolean = false;

  constructor(connection: DirectHttp2Connection, id: number, head: Http2RequestHead, sendWindow: number) {
    this.#connection = connection;
    this.id = id;
    this.head = head;
    this.sendWindow = sendWindow;
  }

  get method(): string {
    return this.head.method;
  }

  get url(): string {
    return this.head.url;
  }

  get remoteAddress(): string | undefined {
    return this.#connection.remoteAddress;
  }

  header(name: string): string | undefined {
    const { headers } = this.head;
    return joinHeader(headers[name] ?? (name === "host" ? headers[":authority"] : undefined));
  }

  headers(): Headers {
    return toRequestHeaders(this.head.headers);
  }

  absoluteUrl(): string {
    return toUrl(this.#connection.environment.secure, this.header("host"), this.url);
  }

  readBody(maxBytes: number, done: (error: ConnectError | undefined, body: Uint8Array) => void): void {
    const declared = this.head.contentLength;
    if (declared !== undefined && declared > maxBytes) {
      done(readLimitError(maxBytes, declared), empty);
      return;
    }
    const body = new BodyCollector(maxBytes);
    let finished = false;
    const finish = (error: ConnectError | undefined) => {
      if (finished) return;
      finished = true;
      this.#stopReading();
      if (error === undefined) done(undefined, body.finish());
      else done(error, empty);
    };
    this.readChunks(
      (chunk) => {
        if (body.add(toKeep(chunk))) finish(readLimitError(maxBytes));
      },
      () => finish(undefined),
      () => finish(bodyTimedOut()),
    );
  }

  readChunks(read: (chunk: Uint8Array) => void, end: () => void, timedOut: () => void): void {
    this.#read = read;
    this.#end = end;
    this.#expired = timedOut;
    const { watch, bodyTimeoutMs } = this.#connection.environment;
    watch.add(this, bodyTimeoutMs);
  }

  respond(status: number, headers: string[], body: Uint8Array): void {
    this.#send({ status, headers, body, trailers: undefined });
  }

  respondWithTrailers(headers: string[], body: Uint8Array | undefined, trailers: readonly string[]): void {
    this.#send({ status: 200, headers, body: body ?? empty, trailers });
  }

  onGone(gone: (reason: ConnectError) => void): void {
    if (this.#closed) gone(toGoneError(this.#closeCode));
    else this.#onGone = gone;
  }

  get goneReason(): ConnectError | undefined {
    return this.#closed ? toGoneError(this.#closeCode) : undefined;
  }

  readStream(reader: StreamReader): void {
    this.#streamInput = new StreamInput(reader, (bytes) => this.#connection.consumed(this, bytes));
    this.#onStreamGone = (reason) => reader.gone(reason);
  }

  pause(): void {
    this.#streamInput?.pause();
  }

  resume(): void {
    this.#streamInput?.resume();
  }

  begin(headers: string[]): void {
    if (!this.#closed) this.#connection.begin(this, headers);
  }

  write(bytes: Uint8Array): boolean {
    if (this.#closed || this.answered) return true;
    this.#blocked = !this.#connection.write(this, bytes);
    return !this.#blocked;
  }

  /** A client that reads nothing for too long loses its stream. */
  async drained(): Promise<void> {
    if (!this.#blocked || this.#closed) return;
    this.watchUnread();
    await new Promise<void>((resolve) => {
      this.#onDrained = resolve;
    });
    this.#stopReading();
  }

  finish(trailers: readonly string[]): void {
    if (this.#closed || this.answered) return;
    this.answered = true;
    this.#onGone = undefined;
    this.#connection.finish(this, trailers);
  }

  /** All that was written is on its way. */
  onDrained(): void {
    this.#blocked = false;
    const drained = this.#onDrained;
    this.#onDrained = undefined;
    drained?.();
  }

  /** Part of the body has come, in a frame of this size; nobody may be waiting for it any more. */
  receive(chunk: Uint8Array, frameBytes: number): void {
    this.#received += chunk.length;
    const input = this.#streamInput;
    if (input) {
      input.receive(chunk);
      this.#connection.consumed(this, frameBytes - chunk.length);
    } else {
      this.#read?.(chunk);
      this.#connection.consumed(this, frameBytes);
    }
  }

  /** The body is whole. Says whether it is as long as its head said. */
  receiveEnd(): boolean {
    this.remoteEnded = true;
    const { contentLength } = this.head;
    if (contentLength !== undefined && contentLength !== this.#received) return false;
    this.#streamInput?.end();
    // The client's time to read the response goes on.
    if (this.answered || this.#streamInput) return true;
    const end = this.#end;
    this.#stopReading();
    end?.();
    return true;
  }

  /** The response waits for the client's windows. */
  watchUnread(): void {
    const { watch, writeTimeoutMs } = this.#connection.environment;
    this.#expired = () => this.#connection.resetStream(this, constants.NGHTTP2_CANCEL);
    watch.add(this, writeTimeoutMs);
  }

  /** The stream is closed: answered, reset, or its connection is gone. */
  close(code: number | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#closeCode = code;
    this.#stopReading();
    const gone = this.#onGone;
    this.#onGone = undefined;
    this.#streamInput?.close();
    gone?.(toGoneError(code));
    this.#onStreamGone?.(toGoneError(code));
    this.onDrained();
  }

  expire(): void {
    const expired = this.#expired;
    this.#stopReading();
    expired?.();
  }

  #send(response: Http2Response): void {
    if (this.#closed || this.answered) return;
    this.answered = true;
    this.#onGone = undefined;
    this.#stopReading();
    this.#connection.send(this, response);
  }

  #stopReading(): void {
    if (this.#expired === undefined) return;
    this.#read = undefined;
    this.#end = undefined;
    this.#expired = undefined;
    this.#connection.environment.watch.delete(this);
  }
}

/** A chunk that is kept: a small one as a copy, because bytes that drip in would each keep a whole chunk of the connection alive. */
function toKeep(chunk: Uint8Array): Uint8Array {
  return chunk.length * 2 < chunk.buffer.byteLength ? new Uint8Array(chunk) : chunk;
}
