import type { IncomingHttpHeaders } from "node:http";
import type { Readable, Writable } from "node:stream";
import type { HeaderMap } from "./headers.js";

/** A request that came in, to be passed on, and the way back to whoever sent it; whichever HTTP version carries it. */
export interface Inbound {
  readonly method: string;
  /** The target as it was sent: "/a/b?c". */
  readonly target: string;
  readonly headers: IncomingHttpHeaders;
  /** Whether a body follows. */
  readonly hasBody: boolean;
  readonly body: Readable;
  /** The whole body, if it is small and there already, none included: then nobody need read the stream, which is made only for who does. */
  readonly whole: Uint8Array | undefined;
  /** Whether the sender broke the body off: then it is not all there, although its stream may end. */
  readonly cutShort: boolean;
  /** Whether the sender waits for a word before it sends the body (`expect: 100-continue`). */
  readonly awaitsContinue: boolean;
  /** The trailers of the body, once it has ended. */
  trailers(): HeaderMap;
  /** Tells the sender to send the body. */
  sendContinue(): void;
  /** Sends early hints (103) and the like. */
  sendInformation(status: number, headers: HeaderMap): void;
  /** Begins an answer whose body follows. */
  respond(status: number, headers: HeaderMap): Writable;
  /** Sends the whole answer; with no bytes if it has no body, whatever its headers say of one (HEAD). */
  respondWhole(status: number, headers: HeaderMap, body: Uint8Array): void;
  /** Ends an answer that had a body. */
  finish(trailers: HeaderMap): void;
  /** Breaks the answer off, so that the sender does not take it for whole. */
  breakOff(): void;
  /** Whether an answer has begun. */
  readonly responded: boolean;
  /** Calls back when the sender goes before it has its whole answer. */
  onGone(gone: () => void): void;
}

/** The same request on its way on. */
export interface Outbound {
  /** Takes the body; undefined if all of it has gone with the request. */
  readonly body: Writable | undefined;
  /** Ends the body. */
  finish(trailers: HeaderMap): void;
  /** Gives the request up. */
  cancel(): void;
}

/** What comes back for an {@link Outbound}. After `failed` nothing comes. */
export interface Answer {
  /** The other side wants the body. */
  continued(): void;
  information(status: number, headers: HeaderMap): void;
  /** The answer begins. */
  responded(response: Response): void;
  /** There will be no answer, or no rest of it. */
  failed(failure: Failure): void;
}

/** An answer that has begun. */
export interface Response {
  readonly status: number;
  readonly headers: HeaderMap;
  /** All of it, if it is small and there already or there is none; else as it comes. */
  readonly body: Uint8Array | Readable;
  /** What came after its body, once that has ended. */
  trailers(): HeaderMap;
  /** Whether it was broken off: then the body is not all there, although its stream may end; `failed` follows. Default: it was not. */
  cutShort?(): boolean;
  /** Whether the runtime that answers says that its app did nothing with the request. Default: no. */
  readonly untouched?: boolean;
}

/** Why there is no answer. */
export interface Failure {
  readonly error: Error;
  /** Whether the other side certainly did nothing with the request: then it may go to another. */
  readonly untouched: boolean;
}

/** What a request is made of. */
export interface OutboundRequest {
  readonly method: string;
  readonly target: string;
  readonly headers: HeaderMap;
  readonly hasBody: boolean;
  /** The whole body where it is there: then it may be sent with the request. */
  readonly whole?: Uint8Array | undefined;
  /** Whether `Answer.continued` is waited for before the body is sent. */
  readonly awaitsContinue: boolean;
}

/** Sends a request on. */
export type Send = (request: OutboundRequest, answer: Answer) => Outbound;
