import type { IncomingHttpHeaders } from "node:http";
import type { Readable, Writable } from "node:stream";
import type { Inbound } from "./exchange.js";
import type { HeaderMap } from "./headers.js";

/** A request that stands before another one: all of it is the other's, but for what a subclass says. */
export class InboundProxy implements Inbound {
  constructor(protected readonly inner: Inbound) {}

  get method(): string {
    return this.inner.method;
  }
  get target(): string {
    return this.inner.target;
  }
  get headers(): IncomingHttpHeaders {
    return this.inner.headers;
  }
  get hasBody(): boolean {
    return this.inner.hasBody;
  }
  get body(): Readable {
    return this.inner.body;
  }
  get whole(): Uint8Array | undefined {
    return this.inner.whole;
  }
  get awaitsContinue(): boolean {
    return this.inner.awaitsContinue;
  }
  get cutShort(): boolean {
    return this.inner.cutShort;
  }
  get responded(): boolean {
    return this.inner.responded;
  }
  trailers(): HeaderMap {
    return this.inner.trailers();
  }
  sendContinue(): void {
    this.inner.sendContinue();
  }
  sendInformation(status: number, headers: HeaderMap): void {
    this.inner.sendInformation(status, headers);
  }
  respond(status: number, headers: HeaderMap): Writable {
    return this.inner.respond(status, headers);
  }
  respondWhole(status: number, headers: HeaderMap, body: Uint8Array): void {
    this.inner.respondWhole(status, headers, body);
  }
  finish(trailers: HeaderMap): void {
    this.inner.finish(trailers);
  }
  breakOff(): void {
    this.inner.breakOff();
  }
  onGone(gone: () => void): void {
    this.inner.onGone(gone);
  }
}

/** A request whose answer, whatever it is, bears these headers too. */
export class AnsweringWith extends InboundProxy {
  readonly #headers: HeaderMap;

  constructor(inner: Inbound, headers: HeaderMap) {
    super(inner);
    this.#headers = headers;
  }

  override respond(status: number, headers: HeaderMap): Writable {
    return this.inner.respond(status, { ...headers, ...this.#headers });
  }

  override respondWhole(status: number, headers: HeaderMap, body: Uint8Array): void {
    this.inner.respondWhole(status, { ...headers, ...this.#headers }, body);
  }
}

/** How an exchange ended: with its answer's status, perhaps broken off before the answer's end; or without an answer, since the caller left. */
export interface ExchangeEnd {
  /** 0 if no answer began. */
  readonly status: number;
  readonly isWhole: boolean;
  readonly trailers: HeaderMap;
}

/** A request whose end somebody wants to know of. */
export class WatchedInbound extends InboundProxy {
  readonly #headers: IncomingHttpHeaders;
  readonly #over: (end: ExchangeEnd) => void;
  #status = 0;
  #isOver = false;

  /** @param headers in the place of its own */
  constructor(inner: Inbound, headers: IncomingHttpHeaders, over: (end: ExchangeEnd) => void) {
    super(inner);
    this.#headers = headers;
    this.#over = over;
    inner.onGone(() => this.#end(false));
  }

  override get headers(): IncomingHttpHeaders {
    return this.#headers;
  }

  override respond(status: number, headers: HeaderMap): Writable {
    this.#status = status;
    return this.inner.respond(status, headers);
  }

  override respondWhole(status: number, headers: HeaderMap, body: Uint8Array): void {
    this.#status = status;
    this.inner.respondWhole(status, headers, body);
    this.#end(true);
  }

  override finish(trailers: HeaderMap): void {
    this.inner.finish(trailers);
    this.#end(true, trailers);
  }

  override breakOff(): void {
    this.inner.breakOff();
    this.#end(false);
  }

  #end(isWhole: boolean, trailers: HeaderMap = {}): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#over({ status: this.#status, isWhole, trailers });
  }
}
