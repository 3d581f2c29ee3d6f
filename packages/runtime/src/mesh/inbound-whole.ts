import type { IncomingHttpHeaders } from "node:http";
import { Readable, type Writable } from "node:stream";
import type { WholeExchange } from "@mecha/rpc";
import type { Inbound } from "./exchange.js";
import type { HeaderMap } from "./headers.js";

/** A request that has come as a whole. */
export function fromWhole(exchange: WholeExchange, target: string): Inbound {
  return new WholeInbound(exchange, target);
}

class WholeInbound implements Inbound {
  readonly #exchange: WholeExchange;
  readonly awaitsContinue = false;
  readonly cutShort = false;
  #body: Readable | undefined;

  constructor(
    exchange: WholeExchange,
    readonly target: string,
  ) {
    this.#exchange = exchange;
  }

  get method(): string {
    return this.#exchange.method;
  }
  get headers(): IncomingHttpHeaders {
    return this.#exchange.headers;
  }
  get hasBody(): boolean {
    return this.whole.byteLength > 0;
  }
  get whole(): Uint8Array {
    return this.#exchange.body;
  }
  get body(): Readable {
    this.#body ??= Readable.from(this.hasBody ? [this.whole] : []);
    return this.#body;
  }
  get responded(): boolean {
    return this.#exchange.responded;
  }
  trailers(): HeaderMap {
    return {};
  }
  sendContinue(): void {}
  sendInformation(status: number, headers: HeaderMap): void {
    this.#exchange.inform(status, headers);
  }
  respond(status: number, headers: HeaderMap): Writable {
    return this.#exchange.begin(status, headers);
  }
  respondWhole(status: number, headers: HeaderMap, body: Uint8Array): void {
    this.#exchange.respond(status, headers, body);
  }
  finish(trailers: HeaderMap): void {
    this.#exchange.finish(trailers);
  }
  breakOff(): void {
    this.#exchange.breakOff();
  }
  onGone(gone: () => void): void {
    this.#exchange.onGone(gone);
  }
}

/** The same of an app's own: of words before the answer it hears early hints, and only their links, as from Node's servers. */
export function fromWholeOfApp(exchange: WholeExchange, target: string): Inbound {
  return new OwnInbound(exchange, target);
}

class OwnInbound extends WholeInbound {
  override sendInformation(status: number, { link }: HeaderMap): void {
    if (status === 103 && link !== undefined) super.sendInformation(status, { link });
  }
}
