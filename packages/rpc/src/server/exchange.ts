import type { IncomingMessage, ServerResponse } from "node:http";
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import { toRequestHeaders } from "../call/request-headers.js";
import type { RequestHead } from "../options.js";
import { readLimitError } from "../wire/limits.js";
import { toGoneError } from "../wire/reset-error.js";
import type { Watch, Watched } from "./watch.js";

/** One request and its response, whichever HTTP version carries them. */
export interface Exchange extends RequestHead {
  /** All request headers, as a copy. */
  headers(): Headers;
  /** The absolute URL. */
  absoluteUrl(): string;
  /** Reads the whole body into bytes of its own; more than the limit is an error. */
  readBody(maxBytes: number, done: (error: ConnectError | undefined, body: Uint8Array) => void): void;
  /** Sends the whole response. `headers` are names and values in turn. */
  respond(status: number, headers: string[], body: Uint8Array): void;
  /** Calls back when the client goes before it has its answer. */
  onGone(gone: (reason: ConnectError) => void): void;
}

/** What all exchanges of a server share. */
export interface ExchangeEnvironment {
  /** Ends requests whose body takes too long, and responses that are not read. */
  readonly watch: Watch;
  readonly bodyTimeoutMs: number;
  readonly writeTimeoutMs: number;
  readonly secure: boolean;
}

/** Above this, copying costs more than a second write. */
const oneWriteBytes = 16 * 1024;

const bodyTimedOut = () => new ConnectError("the request's body took too long to arrive", Code.DeadlineExceeded);
const empty = new Uint8Array(0);

/** Collects a body from chunks. */
class BodyCollector {
  #first: Uint8Array | undefined;
  #more: Uint8Array[] | undefined;
  #size = 0;

  constructor(readonly maxBytes: number) {}

  /** Says whether it is too much. */
  add(chunk: Uint8Array): boolean {
    this.#size += chunk.length;
    if (this.#size > this.maxBytes) return true;
    if (this.#first === undefined) this.#first = chunk;
    else if (this.#more === undefined) this.#more = [this.#first, chunk];
    else this.#more.push(chunk);
    return false;
  }

  /** Bytes that nothing else refers to: decoded `bytes` fields are views of them. */
  finish(): Uint8Array {
    if (this.#first === undefined) return empty;
    if (this.#more === undefined) return new Uint8Array(this.#first);
    const body = new Uint8Array(this.#size);
    let offset = 0;
    for (const chunk of this.#more) {
      body.set(chunk, offset);
      offset += chunk.length;
    }
    return body;
  }
}

/** An exchange over HTTP/1.1. */
export class Http1Exchange implements Exchange, Watched {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #environment: ExchangeEnvironment;
  watchedUntil = 0;
  #timedOut: (() => void) | undefined;

  constructor(request: IncomingMessage, response: ServerResponse, environment: ExchangeEnvironment) {
    this.#request = request;
    this.#response = response;
    this.#environment = environment;
  }

  get method(): string {
    return this.#request.method ?? "";
  }

  get url(): string {
    return this.#request.url ?? "";
  }

  get remoteAddress(): string | undefined {
    return this.#request.socket.remoteAddress;
  }

  header(name: string): string | undefined {
    return joinHeader(this.#request.headers[name]);
  }

  headers(): Headers {
    return toRequestHeaders(this.#request.headers);
  }

  absoluteUrl(): string {
    return toUrl(this.#environment.secure, this.header("host"), this.url);
  }

  readBody(maxBytes: number, done: (error: ConnectError | undefined, body: Uint8Array) => void): void {
    const request = this.#request;
    const declared = request.headers["content-length"];
    if (declared !== undefined && Number(declared) > maxBytes) {
      request.resume();
      done(readLimitError(maxBytes, Number(declared)), empty);
      return;
    }
    const body = new BodyCollector(maxBytes);
    const { watch, bodyTimeoutMs } = this.#environment;
    const finish = (error: ConnectError | undefined) => {
      watch.delete(this);
      request.off("data", onData);
      request.off("end", onEnd);
      request.off("error", onError);
      if (error === undefined) done(undefined, body.finish());
      else {
        request.resume();
        done(error, empty);
      }
    };
    const onData = (chunk: Uint8Array) => {
      if (body.add(chunk)) finish(readLimitError(maxBytes));
    };
    const onEnd = () => finish(undefined);
    const onError = () => finish(new ConnectError("the client went away", Code.Canceled));
    request.on("data", onData);
    request.on("end", onEnd);
    request.on("error", onError);
    this.#timedOut = () => {
      this.#response.shouldKeepAlive = false;
      finish(bodyTimedOut());
    };
    watch.add(this, bodyTimeoutMs);
  }

  respond(status: number, headers: string[], body: Uint8Array): void {
    const response = this.#response;
    if (response.destroyed) return;
    response.writeHead(status, headers);
    // Node writes a string together with the head, and bytes beside it: one write costs 10 % less of a small call than two.
    if (body.length <= oneWriteBytes) response.end(toBuffer(body).toString("latin1"), "latin1");
    else response.end(body);
    const { socket } = response;
    // Bytes that the kernel did not take wait for the client to read.
    if (socket && socket.writableLength > 0) {
      this.#timedOut = () => socket.destroy();
      const { watch, writeTimeoutMs } = this.#environment;
      watch.add(this, writeTimeoutMs);
      response.once("close", () => watch.delete(this));
    }
  }

  onGone(gone: (reason: ConnectError) => void): void {
    const response = this.#response;
    const onClose = () => {
      if (!response.writableFinished) gone(new ConnectError("the client went away", Code.Canceled));
    };
    if (response.destroyed) onClose();
    else response.once("close", onClose);
  }

  expire(): void {
    this.#timedOut?.();
  }
}

/** An exchange over HTTP/2, on Node's core API: its compatibility layer costs as much as the rest of a small call. */
export class Http2Exchange implements Exchange, Watched {
  readonly #stream: ServerHttp2Stream;
  readonly #headers: IncomingHttpHeaders;
  readonly #environment: ExchangeEnvironment;
  watchedUntil = 0;
  #timedOut: (() => void) | undefined;

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
    return this.#stream.session?.socket.remoteAddress;
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
    this.watchUnread();
    if (!stream.readableEnded) stream.once("finish", () => this.dropRest());
  }

  /** The request's body must be there in time. */
  watchBody(timedOut: () => void): void {
    const { watch, bodyTimeoutMs } = this.#environment;
    this.#timedOut = timedOut;
    watch.add(this, bodyTimeoutMs);
    this.#stream.once("end", () => watch.delete(this));
  }

  /** A client that reads nothing for too long loses its stream. */
  async watchDrain(drained: Promise<void>): Promise<void> {
    const { watch, writeTimeoutMs } = this.#environment;
    this.#timedOut = () => this.#stream.close(constants.NGHTTP2_CANCEL);
    watch.add(this, writeTimeoutMs);
    await drained;
    watch.delete(this);
  }

  /** The response is written; from now on the client has so long to read it. */
  watchUnread(): void {
    const stream = this.#stream;
    const { watch, writeTimeoutMs } = this.#environment;
    this.#timedOut = () => stream.close(constants.NGHTTP2_CANCEL);
    watch.add(this, writeTimeoutMs);
    stream.once("close", () => watch.delete(this));
  }

  /** After a response: the rest of the request is of no use, and a reset without an error says that the response is whole. */
  dropRest(): void {
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
export function toHttp2Headers(status: number, headers: readonly string[]): Record<string, string | string[] | number> {
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

function joinHeader(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(", ") : value;
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function toUrl(secure: boolean, authority: string | undefined, path: string): string {
  return `${secure ? "https" : "http"}://${authority ?? "localhost"}${path}`;
}

function ignore(): void {}
