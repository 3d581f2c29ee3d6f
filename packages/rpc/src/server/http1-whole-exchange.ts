import type { IncomingHttpHeaders } from "node:http";
import { Writable } from "node:stream";
import type { WholeExchange } from "../options.js";
import { type HeaderFields, toFields } from "../wire/http1-headers.js";
import { fieldLines } from "../wire/http1-response.js";
import type { AnswerStream } from "./http1-answer-stream.js";
import type { Http1DirectExchange } from "./http1-direct-exchange.js";

/** The largest body of a request that is served as a whole. */
export const maxWholeBytes = 64 * 1024;

/** A request that is whole, over an HTTP/1.1 connection that is read here. */
export class DirectWholeExchange implements WholeExchange {
  readonly #exchange: Http1DirectExchange;
  readonly headers: IncomingHttpHeaders;
  #stream: AnswerStream | undefined;
  /** Several want to know. */
  #onGone: (() => void)[] | undefined;

  constructor(
    exchange: Http1DirectExchange,
    readonly body: Uint8Array,
    readonly secure: boolean,
  ) {
    this.#exchange = exchange;
    // A copy: the head is kept for the requests that repeat it.
    this.headers = { ...exchange.head.headers };
  }

  get method(): string {
    return this.#exchange.method;
  }

  get url(): string {
    return this.#exchange.url;
  }

  get remoteAddress(): string | undefined {
    return this.#exchange.remoteAddress;
  }

  get responded(): boolean {
    return this.#exchange.responded;
  }

  inform(status: number, headers: HeaderFields): void {
    this.#exchange.inform(status, toFields(headers));
  }

  respond(status: number, headers: HeaderFields, body: Uint8Array): void {
    this.#exchange.respond(status, toFields(headers), body);
  }

  begin(status: number, headers: HeaderFields): Writable {
    // No body may follow these, whatever is written.
    if (this.method === "HEAD" || status === 204 || status === 304) {
      this.respond(status, headers, new Uint8Array());
      return new Writable({ write: (_chunk, _encoding, done) => done() });
    }
    const length = headers["content-length"];
    // What has trailers comes in chunks.
    const isSized = typeof length === "string" && /^\d{1,15}$/.test(length) && headers.trailer === undefined;
    this.#stream = this.#exchange.begin(status, toFields(headers), isSized ? Number(length) : "chunked");
    return this.#stream;
  }

  finish(trailers: HeaderFields): void {
    const stream = this.#stream;
    if (stream === undefined || stream.destroyed) return;
    stream.trailerLines = fieldLines(toFields(trailers));
    stream.end();
  }

  breakOff(): void {
    this.#exchange.breakOff();
  }

  onGone(gone: () => void): void {
    if (this.#onGone === undefined) {
      const all = [gone];
      this.#onGone = all;
      this.#exchange.onGone(() => {
        for (const each of all) each();
      });
    } else if (this.#exchange.gone) gone();
    else this.#onGone.push(gone);
  }
}
