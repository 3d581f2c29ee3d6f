import { Code, ConnectError } from "@connectrpc/connect";
import { toRequestHeaders } from "../call/lazy-headers.js";
import type { Http1RequestHead } from "../wire/http1-request-head.js";
import { readLimitError } from "../wire/limits.js";
import { BodyCollector, bodyTimedOut, empty } from "./body-collector.js";
import { type Exchange, type ExchangeEnvironment, joinHeader, toUrl } from "./exchange.js";
import type { Watched } from "./watch.js";

/** What an exchange needs of the connection that carries it. */
export interface DirectConnection {
  readonly environment: ExchangeEnvironment;
  readonly remoteAddress: string | undefined;
  /** Whether the client is gone, or its connection ends. */
  readonly gone: boolean;
  /** Writes the answer of the exchange at hand; after the last one the connection ends. */
  answer(status: number, headers: string[], body: Uint8Array, last: boolean): void;
}

type BodyReader = (error: ConnectError | undefined, body: Uint8Array) => void;

/** An exchange over an HTTP/1.1 connection that is read here, without `node:http`. */
export class Http1DirectExchange implements Exchange, Watched {
  readonly method = "POST";
  readonly head: Http1RequestHead;
  readonly #connection: DirectConnection;
  watchedUntil = 0;
  bagPlace = -1;
  /** What of the body came with the head; the rest goes to the collector. */
  #first: Uint8Array;
  #body: BodyCollector | undefined;
  #done: BodyReader | undefined;
  #onGone: ((reason: ConnectError) => void) | undefined;
  #last: boolean = false;
  #responded: boolean = false;

  constructor(connection: DirectConnection, head: Http1RequestHead, first: Uint8Array) {
    this.#connection = connection;
    this.head = head;
    this.#first = first;
  }

  get url(): string {
    return this.head.url;
  }

  get remoteAddress(): string | undefined {
    return this.#connection.remoteAddress;
  }

  header(name: string): string | undefined {
    return joinHeader(this.head.headers[name]);
  }

  headers(): Headers {
    return toRequestHeaders(this.head.headers);
  }

  absoluteUrl(): string {
    return toUrl(this.#connection.environment.secure, this.header("host"), this.url);
  }

  readBody(maxBytes: number, done: BodyReader): void {
    const { contentLength } = this.head;
    const first = this.#first;
    this.#first = empty;
    if (contentLength > maxBytes) done(readLimitError(maxBytes, contentLength), empty);
    // Bytes of its own: decoded `bytes` fields are views of them.
    else if (first.length === contentLength) done(undefined, new Uint8Array(first));
    else {
      this.#body = new BodyCollector(maxBytes);
      this.#body.add(first);
      this.#done = done;
      const { watch, bodyTimeoutMs } = this.#connection.environment;
      watch.add(this, bodyTimeoutMs);
    }
  }

  /** More of the body; what nobody waits for is dropped. */
  receive(part: Uint8Array, complete: boolean): void {
    this.#body?.add(part);
    if (complete) this.#finish(undefined);
  }

  respond(status: number, headers: string[], body: Uint8Array): void {
    // A second answer would be taken for the next request's.
    if (this.#responded) return;
    this.#responded = true;
    this.#onGone = undefined;
    this.#connection.answer(status, headers, body, this.#last);
  }

  onGone(gone: (reason: ConnectError) => void): void {
    if (this.#connection.gone) gone(clientGone());
    else this.#onGone = gone;
  }

  /** The client has gone before it had its answer. */
  lose(): void {
    const gone = this.#onGone;
    this.#onGone = undefined;
    this.#finish(clientGone());
    gone?.(clientGone());
  }

  expire(): void {
    this.#last = true;
    this.#finish(bodyTimedOut());
  }

  #finish(error: ConnectError | undefined): void {
    const done = this.#done;
    const body = this.#body;
    if (done === undefined || body === undefined) return;
    this.#done = undefined;
    this.#body = undefined;
    this.#connection.environment.watch.delete(this);
    if (error === undefined) done(undefined, body.finish());
    else done(error, empty);
  }
}

function clientGone(): ConnectError {
  return new ConnectError("the client went away", Code.Canceled);
}
