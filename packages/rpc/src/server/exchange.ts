import type { ConnectError } from "@connectrpc/connect";
import type { RequestHead } from "../options.js";
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
