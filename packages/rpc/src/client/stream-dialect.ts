import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http2";
import type { Compression } from "../wire/compression.js";
import type { Envelope } from "../wire/envelope.js";
import type { ClientConfig } from "./config.js";
import type { OutgoingCall } from "./outgoing-call.js";

/** How a protocol that sends envelopes over HTTP/2 begins and ends a call. */
export interface StreamDialect {
  requestHeaders(config: ClientConfig, call: OutgoingCall): OutgoingHttpHeaders;
  /** Reads the response's head. Throws the error that it is. */
  startReading(config: ClientConfig, head: IncomingHttpHeaders): StreamEnd;
}

/** What a response's head leaves to be read. */
export interface StreamEnd {
  readonly header: Headers;
  readonly compression: Compression | undefined;
  /** Sees each envelope first, and says whether it was the end instead of a message. */
  special?(envelope: Envelope): boolean;
  /** The response has ended: gives the trailers, or throws the error that it ended with. */
  finish(trailers: IncomingHttpHeaders): Headers;
}
