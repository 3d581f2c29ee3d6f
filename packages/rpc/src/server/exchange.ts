import type { ConnectError } from "@connectrpc/connect";
import type { RequestHead } from "../options.js";
import type { ByteSink } from "../wire/byte-sink.js";
import type { Watch } from "./watch.js";

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

/** An exchange that can carry gRPC. */
export interface GrpcExchange extends Exchange {
  /** Gives the body in chunks, which are valid for the moment, and its end. One that takes too long is told by `timedOut`. */
  readChunks(read: (chunk: Uint8Array) => void, end: () => void, timedOut: () => void): void;
  /** Sends the whole response. Headers and trailers are names and values in turn. */
  respondWithTrailers(headers: string[], body: Uint8Array | undefined, trailers: readonly string[]): void;
}

/** Who is given the request of a stream. */
export interface StreamReader {
  /** A chunk, which is valid for the moment. */
  read(chunk: Uint8Array): void;
  /** The request is whole. */
  end(): void;
  /** The stream is closed, whatever for. */
  gone(reason: ConnectError): void;
}

/** An exchange that can carry messages both ways, for as long as they come. */
export interface StreamExchange extends Exchange, ByteSink {
  /** Why nothing more can be sent, or undefined while it can. */
  readonly goneReason: ConnectError | undefined;
  /** Gives the request as it comes. */
  readStream(reader: StreamReader): void;
  /** Makes the client wait, once its window is full. */
  pause(): void;
  /** Lets it go on; nothing is read before this returns. */
  resume(): void;
  /** Sends the head of the response: names and values in turn. */
  begin(headers: string[]): void;
  /** Ends the response, behind what was written, with trailers as names and values in turn. */
  finish(trailers: readonly string[]): void;
}

/** What all exchanges of a server share. */
export interface ExchangeEnvironment {
  /** Ends requests whose body takes too long, and responses that are not read. */
  readonly watch: Watch;
  readonly bodyTimeoutMs: number;
  readonly writeTimeoutMs: number;
  readonly secure: boolean;
}

/** A header as one text; only set-cookie comes as a list. */
export function joinHeader(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(", ") : value;
}

/** An absolute URL. */
export function toUrl(secure: boolean, authority: string | undefined, path: string): string {
  return `${secure ? "https" : "http"}://${authority ?? "localhost"}${path}`;
}
