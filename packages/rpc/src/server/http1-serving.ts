import type { Socket } from "node:net";
import type { Http1RequestHead } from "../wire/http1-request-head.js";
import type { ExchangeEnvironment } from "./exchange.js";
import type { Http1Connection } from "./http1-connection.js";
import type { Http1DirectExchange } from "./http1-direct-exchange.js";

/** How connections are served. */
export interface Http1Serving {
  readonly environment: ExchangeEnvironment;
  /** The largest head, in bytes. */
  readonly maxHeaderBytes: number;
  /** How long a client may take to begin, in ms. */
  readonly headersTimeoutMs: number;
  /** How long a connection may be idle after an answer, in ms. */
  readonly keepAliveMs: number;
  /** Whether a request is served only when all of its body is there. Default: none is. */
  needsWhole?(head: Http1RequestHead): boolean;
  /** How long a request may take to be there, then, before the connection is handed over. Default: as long as a client may take to begin, head and all. */
  readonly wholeWithinMs?: number;
  /** Serves a request, or says that it is not for here before anything has happened to it. */
  serve(exchange: Http1DirectExchange): boolean;
  /** Takes a connection over, for good. What was read of the request at hand has been put back. */
  handOver(socket: Socket): void;
  /** Told when a connection has ended or is handed over. */
  left(connection: Http1Connection): void;
  /** What a client is told whose connection ends while it is idle. Whatever it has sent by then is dropped. Default: nothing. */
  readonly farewell?: string;
}
