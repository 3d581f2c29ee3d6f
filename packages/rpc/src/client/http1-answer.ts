import type { IncomingHttpHeaders } from "node:http";
import { Readable } from "node:stream";
import { type HeaderFields, toFields, toIncomingHeaders } from "../wire/http1-headers.js";
import { encodeHttp1RequestHead } from "../wire/http1-request.js";
import type { Http1ClientConnection, Http1Loss, Http1Request } from "./http1-connection.js";
import type { Http1ResponseHead } from "./http1-response.js";

/** A request that is whole. */
export interface WholeRequest {
  readonly method: string;
  /** "/a/b?c". */
  readonly target: string;
  readonly host: string;
  readonly headers: HeaderFields;
  readonly body: Uint8Array;
}

/** An answer that has begun. */
export interface HttpAnswer<Made = IncomingHttpHeaders> {
  readonly status: number;
  /** What `Http1ClientOptions.fromHeaders` makes of its headers. Answers that repeat one another share it: it is not to be changed. */
  readonly headers: Made;
  /** All of it, if it is small and came at once; else as it comes. */
  readonly body: Uint8Array | Readable;
  /** Whether no body follows. */
  readonly bodiless: boolean;
  /** What came after a body, once that has ended. */
  trailers(): IncomingHttpHeaders;
}

/** Who waits for an answer. After `failed` nothing comes. */
export interface AnswerReader<Made = IncomingHttpHeaders> {
  /** A word before the answer (1xx). */
  information(status: number, headers: IncomingHttpHeaders): void;
  responded(answer: HttpAnswer<Made>): void;
  /** There is no answer, or no rest of it. */
  failed(error: Error, loss: Http1Loss): void;
}

/** A body up to this size is waited for, this long: then what has come of it goes on as it comes. */
const wholeBytes = 64 * 1024;
const wholeWithinMs = 20;

const empty = new Uint8Array(0);

/** A request whose answer is given as a whole where it comes so, and else as a stream that makes the server wait for whoever reads it. */
export class AnsweredRequest<Made> implements Http1Request {
  readonly head: string;
  readonly body: Uint8Array | undefined;
  readonly isHead: boolean;
  readonly #reader: AnswerReader<Made>;
  readonly #fromHeaders: (headers: IncomingHttpHeaders) => Made;
  /** Sends it again on a fresh connection, once. */
  readonly #again: (() => boolean) | undefined;
  readonly #isRepeatable: boolean;
  connection: Http1ClientConnection | undefined;
  #answer: Http1ResponseHead | undefined;
  #only: Uint8Array | undefined;
  #parts: Buffer[] | undefined;
  #stream: Readable | undefined;
  #timer: NodeJS.Timeout | undefined;
  #trailers: readonly string[] = [];
  #lost: Http1Loss | undefined;
  #over: boolean = false;

  constructor(
    { method, target, host, headers, body }: WholeRequest,
    reader: AnswerReader<Made>,
    fromHeaders: (headers: IncomingHttpHeaders) => Made,
    again?: () => boolean,
  ) {
    this.#fromHeaders = fromHeaders;
    this.head = encodeHttp1RequestHead(method, target, host, toFields(headers));
    this.body = body.length > 0 || headers["content-length"] !== undefined ? body : undefined;
    this.isHead = method === "HEAD";
    this.#reader = reader;
    this.#again = again;
    this.#isRepeatable = body.length === 0 && /^(GET|HEAD|PUT|DELETE)$/.test(method);
  }

  /** Nobody waits any more. */
  cancel(): void {
    if (this.#over && this.#stream === undefined) return;
    this.#finish();
    this.#stream?.destroy();
    this.connection?.cancel(this);
  }

  information({ status, fields }: Http1ResponseHead): void {
    if (!this.#over) this.#reader.information(status, toIncomingHeaders(fields));
  }

  begin(head: Http1ResponseHead, bodiless: boolean): void {
    this.#answer = head;
    if (bodiless) this.#respond(head, empty, true);
    else if (head.contentLength === undefined || head.contentLength > wholeBytes) this.#startStream();
  }

  data(part: Buffer): void {
    if (this.#over) return;
    if (this.#stream !== undefined) {
      if (!this.#stream.push(part)) this.connection?.pause(this);
    } else if (this.#parts !== undefined) this.#parts.push(part);
    else if (part.length === this.#answer?.contentLength) this.#only = part;
    else this.#parts = [part];
  }

  partial(): void {
    if (this.#over || this.#answer === undefined || this.#stream !== undefined) return;
    this.#timer ??= setTimeout(() => this.#startStream(), wholeWithinMs).unref();
  }

  end(trailers: readonly string[]): void {
    this.#trailers = trailers;
    const stream = this.#stream;
    const answer = this.#answer;
    if (this.#over || answer === undefined) return;
    this.#finish();
    if (stream !== undefined) stream.push(null);
    else this.#respond(answer, this.#only ?? Buffer.concat(this.#parts ?? []), false);
  }

  fail(loss: Http1Loss): void {
    if (this.#over) return;
    const isStale = loss.connected && loss.reused && !loss.answered && this.#isRepeatable;
    if (isStale && this.#again?.() === true) return;
    // What came of it goes on first, and is broken off there.
    if (this.#answer !== undefined && this.#stream === undefined) {
      this.#lost = loss;
      this.#startStream();
    } else this.#tellLoss(loss);
  }

  #tellLoss(loss: Http1Loss): void {
    if (this.#over) return;
    this.#finish();
    const { cause } = loss;
    const error = cause instanceof Error ? cause : new Error("the connection was closed before the answer was whole");
    this.#reader.failed(error, loss);
    this.#stream?.destroy();
  }

  /** Whoever reads the answer wants more than there is. */
  #readMore(): void {
    const lost = this.#lost;
    if (lost !== undefined) setImmediate(() => this.#tellLoss(lost));
    else this.connection?.resume(this);
  }

  #startStream(): void {
    const answer = this.#answer;
    if (this.#over || answer === undefined || this.#stream !== undefined) return;
    clearTimeout(this.#timer);
    const stream = new Readable({ read: () => this.#readMore() });
    this.#stream = stream;
    for (const part of this.#parts ?? []) stream.push(part);
    this.#parts = undefined;
    this.#respond(answer, stream, false);
  }

  #respond(head: Http1ResponseHead, body: Uint8Array | Readable, bodiless: boolean): void {
    if (!(body instanceof Readable)) this.#finish();
    head.made ??= this.#fromHeaders(toIncomingHeaders(head.fields));
    this.#reader.responded({
      status: head.status,
      headers: head.made as Made,
      body,
      bodiless,
      trailers: () => toIncomingHeaders(this.#trailers),
    });
  }

  #finish(): void {
    this.#over = true;
    clearTimeout(this.#timer);
  }
}
