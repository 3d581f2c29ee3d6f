import { Code, ConnectError } from "@connectrpc/connect";
import { toRequestHeaders } from "../call/lazy-headers.js";
import type { Http1RequestHead } from "../wire/http1-request-head.js";
import type { BodyFraming } from "../wire/http1-response.js";
import { readLimitError } from "../wire/limits.js";
import { BodyCollector, bodyTimedOut, empty } from "./body-collector.js";
import { type Exchange, type ExchangeEnvironment, joinHeader, toUrl } from "./exchange.js";
import { AnswerStream, type AnswerTarget } from "./http1-answer-stream.js";
import type { Watched } from "./watch.js";

/** What an exchange needs of the connection that carries it. */
export interface DirectConnection extends AnswerTarget {
  readonly environment: ExchangeEnvironment;
  readonly remoteAddress: string | undefined;
  /** Whether the client is gone, or its connection ends. */
  readonly gone: boolean;
  /** Writes the answer of the exchange at hand; after the last one the connection ends. */
  answer(status: number, headers: string[], body: Uint8Array, last: boolean): void;
  /** Writes a word before the answer. */
  inform(status: number, headers: string[]): void;
  /** Writes the head of an answer whose body follows. */
  begin(status: number, headers: string[], framing: BodyFraming): void;
}

type BodyReader = (error: ConnectError | undefined, body: Uint8Array) => void;

/** An exchange over an HTTP/1.1 connection that is read here, without `node:http`. */
export class Http1DirectExchange implements Exchange, Watched {
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
  #stream: AnswerStream | undefined;

  constructor(connection: DirectConnection, head: Http1RequestHead, first: Uint8Array) {
    this.#connection = connection;
    this.head = head;
    this.#first = first;
  }

  get method(): string {
    return this.head.method;
  }

  get responded(): boolean {
    return this.#responded;
  }

  get gone(): boolean {
    return this.#connection.gone;
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

  /** The body, if all of it came with the head. */
  takeWhole(): Uint8Array | undefined {
    return this.#first.length === this.head.contentLength ? this.#first : undefined;
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
    const onGone = this.#onGone;
    this.#onGone = undefined;
    try {
      this.#connection.answer(status, headers, body, this.#last);
    } catch (error) {
      // It cannot be written, so nothing was.
      this.#responded = false;
      this.#onGone = onGone;
      throw error;
    }
  }

  inform(status: number, headers: string[]): void {
    if (!this.#responded) this.#connection.inform(status, headers);
  }

  /** Begins an answer whose body is written as it comes. */
  begin(status: number, headers: string[], framing: BodyFraming): AnswerStream {
    if (this.#responded || this.#connection.gone) return new AnswerStream(nowhere, framing).destroy();
    this.#connection.begin(status, headers, framing);
    this.#responded = true;
    this.#stream = new AnswerStream(this.#connection, framing);
    return this.#stream;
  }

  /** The client takes more of what is written. */
  drained(): void {
    this.#stream?.drained();
  }

  breakOff(): void {
    this.#connection.breakOff();
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
    this.#stream?.destroy();
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

const nowhere: AnswerTarget = { write: () => true, finish() {}, breakOff() {} };

function clientGone(): ConnectError {
  return new ConnectError("the client went away", Code.Canceled);
}
