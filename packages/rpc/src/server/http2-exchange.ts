import { constants, type Http2Session, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import { toRequestHeaders } from "../call/lazy-headers.js";
import { type ByteSink, toByteSink } from "../wire/byte-sink.js";
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
import type { Watched } from "./watch.js";

const remoteAddresses = new WeakMap<Http2Session, string>();

/** Says where a session's client is, when its connection is no socket. */
export function rememberRemoteAddress(session: Http2Session, address: string): void {
  remoteAddresses.set(session, address);
}

/** An exchange over HTTP/2, on Node's core API: its compatibility layer costs as much as the rest of a small call. */
export class Http2Exchange implements GrpcExchange, StreamExchange, Watched {
  readonly #stream: ServerHttp2Stream;
  readonly #headers: IncomingHttpHeaders;
  readonly #environment: ExchangeEnvironment;
  watchedUntil = 0;
  bagPlace = -1;
  #timedOut: (() => void) | undefined;
  #sink: ByteSink | undefined;
  #trailers: readonly string[] = [];

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, environment: ExchangeEnvironment) {
    this.#stream = stream;
    this.#headers = headers;
    this.#environment = environment;
    // Whatever ends a stream is told by "close"; an error that nobody listens to would end the process.
    stream.on("error", ignore);
  }

  get method(): string {
    return this.#headers[":method"] ?? "";
  }

  get url(): string {
    return this.#headers[":path"] ?? "";
  }

  get remoteAddress(): string | undefined {
    const { session } = this.#stream;
    return session && (remoteAddresses.get(session) ?? session.socket.remoteAddress);
  }

  header(name: string): string | undefined {
    const value = this.#headers[name] ?? (name === "host" ? this.#headers[":authority"] : undefined);
    return joinHeader(value);
  }

  headers(): Headers {
    return toRequestHeaders(this.#headers);
  }

  absoluteUrl(): string {
    return toUrl(this.#environment.secure, this.header("host"), this.url);
  }

  readBody(maxBytes: number, done: (error: ConnectError | undefined, body: Uint8Array) => void): void {
    const stream = this.#stream;
    const declared = this.#headers["content-length"];
    if (declared !== undefined && Number(declared) > maxBytes) {
      done(readLimitError(maxBytes, Number(declared)), empty);
      return;
    }
    const body = new BodyCollector(maxBytes);
    const { watch, bodyTimeoutMs } = this.#environment;
    let finished = false;
    const finish = (error: ConnectError | undefined) => {
      if (finished) return;
      finished = true;
      watch.delete(this);
      if (error === undefined) done(undefined, body.finish());
      else done(error, empty);
    };
    stream.on("data", (chunk: Uint8Array) => {
      if (!finished && body.add(chunk)) finish(readLimitError(maxBytes));
    });
    stream.on("end", () =>
      finish(stream.aborted ? new ConnectError("the client went away", Code.Canceled) : undefined),
    );
    stream.on("aborted", () => finish(new ConnectError("the client went away", Code.Canceled)));
    this.#timedOut = () => finish(bodyTimedOut());
    watch.add(this, bodyTimeoutMs);
  }

  respond(status: number, headers: string[], body: Uint8Array): void {
    const stream = this.#stream;
    if (stream.destroyed || stream.closed) return;
    stream.respond(toHttp2Headers(status, headers));
    stream.end(body);
    this.#watchUnread();
    if (!stream.readableEnded) stream.once("finish", () => this.#dropRest());
  }

  readChunks(read: (chunk: Uint8Array) => void, end: () => void, timedOut: () => void): void {
    const stream = this.#stream;
    const { watch, bodyTimeoutMs } = this.#environment;
    stream.on("data", read);
    stream.on("end", () => {
      watch.delete(this);
      if (!stream.aborted) end();
    });
    this.#timedOut = timedOut;
    watch.add(this, bodyTimeoutMs);
  }

  respondWithTrailers(headers: string[], body: Uint8Array | undefined, trailers: readonly string[]): void {
    this.begin(headers);
    this.finish(trailers, body);
  }

  get goneReason(): ConnectError | undefined {
    const stream = this.#stream;
    return stream.destroyed || stream.closed ? toGoneError(stream.rstCode) : undefined;
  }

  readStream({ read, end, gone }: StreamReader): void {
    const stream = this.#stream;
    stream.on("data", read);
    stream.on("end", () => {
      if (!stream.aborted) end();
    });
    stream.once("close", () => gone(toGoneError(stream.rstCode)));
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    if (this.#stream.isPaused()) this.#stream.resume();
  }

  begin(headers: string[]): void {
    const stream = this.#stream;
    if (stream.destroyed || stream.closed) return;
    stream.respond(toHttp2Headers(200, headers), { waitForTrailers: true });
    stream.once("wantTrailers", () => {
      stream.sendTrailers(toHttp2Trailers(this.#trailers));
      this.#dropRest();
    });
  }

  write(bytes: Uint8Array): boolean {
    this.#sink ??= toByteSink(this.#stream);
    return this.#sink.write(bytes);
  }

  /** A client that reads nothing for too long loses its stream. */
  async drained(): Promise<void> {
    const { watch, writeTimeoutMs } = this.#environment;
    this.#timedOut = () => this.#stream.close(constants.NGHTTP2_CANCEL);
    watch.add(this, writeTimeoutMs);
    await this.#sink?.drained();
    watch.delete(this);
  }

  finish(trailers: readonly string[], body?: Uint8Array): void {
    const stream = this.#stream;
    if (stream.destroyed || stream.closed) return;
    this.#trailers = trailers;
    if (body === undefined) stream.end();
    else stream.end(body);
    this.#watchUnread();
  }

  /** The response is written; from now on the client has so long to read it. */
  #watchUnread(): void {
    const stream = this.#stream;
    const { watch, writeTimeoutMs } = this.#environment;
    this.#timedOut = () => stream.close(constants.NGHTTP2_CANCEL);
    watch.add(this, writeTimeoutMs);
    stream.once("close", () => watch.delete(this));
  }

  /** After a response: the rest of the request is of no use, and a reset without an error says that the response is whole. */
  #dropRest(): void {
    const stream = this.#stream;
    if (stream.readableEnded) return;
    stream.resume();
    setImmediate(() => {
      if (!stream.destroyed && !stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR);
    });
  }

  onGone(gone: (reason: ConnectError) => void): void {
    const stream = this.#stream;
    if (stream.destroyed || stream.closed) gone(toGoneError(stream.rstCode));
    else stream.once("close", () => gone(toGoneError(stream.rstCode)));
  }

  expire(): void {
    this.#timedOut?.();
  }
}

/** Headers for Node's HTTP/2 from names and values in turn. */
function toHttp2Headers(status: number, headers: readonly string[]): Record<string, string | string[] | number> {
  const result: Record<string, string | string[] | number> = { ":status": status };
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index] as string;
    const value = headers[index + 1] as string;
    const present = result[name];
    // Only set-cookie comes more than once: Headers joins all others.
    if (typeof present === "string") result[name] = [present, value];
    else if (Array.isArray(present)) present.push(value);
    else result[name] = value;
  }
  return result;
}

/** Trailers for Node's HTTP/2 from names and values in turn. */
function toHttp2Trailers(trailers: readonly string[]): Record<string, string | string[] | number> {
  const { ":status": _, ...rest } = toHttp2Headers(0, trailers);
  return rest;
}

function ignore(): void {}
