import type { Socket } from "node:net";
import type { WholeExchange } from "../options.js";
import { Http1Connection } from "./http1-connection.js";
import type { Http1Serving } from "./http1-serving.js";
import { DirectWholeExchange, maxWholeBytes } from "./http1-whole-exchange.js";
import { createWatch } from "./watch.js";

/** How connections are served that carry small whole requests and nothing else. */
export interface WholeServing {
  /** The largest head of a request, in bytes. */
  readonly maxHeaderBytes: number;
  /** How long a client may take to begin, or to send the rest of a request, in ms. */
  readonly requestTimeoutMs: number;
  /** How long a client may take nothing of an answer, in ms. */
  readonly writeTimeoutMs: number;
  /** How long a connection may be idle, in ms. */
  readonly keepAliveMs: number;
  /** The whole response that a client gets whose connection is closed while it is idle; nothing that it has sent is served then. */
  readonly farewell: string;
}

/** A connection that is served. */
export interface WholeConnection {
  /** Ends it: at once if it is idle, or with its answer. */
  drain(): void;
}

/** Serves connections over TLS whose requests are small, whole and plain. One with any other request is answered with 400, and closed. */
export function serveWhole(options: WholeServing) {
  const watch = createWatch(1000);
  const serving = {
    environment: {
      watch,
      bodyTimeoutMs: options.requestTimeoutMs,
      writeTimeoutMs: options.writeTimeoutMs,
      secure: true,
    },
    maxHeaderBytes: options.maxHeaderBytes,
    headersTimeoutMs: options.requestTimeoutMs,
    keepAliveMs: options.keepAliveMs,
    needsWhole: () => true,
    handOver: refuse,
    farewell: options.farewell,
  } satisfies Partial<Http1Serving>;
  return {
    /** Serves a connection from its first byte on; `left` is called when it has ended. */
    connection(socket: Socket, handle: (exchange: WholeExchange) => void, left: () => void): WholeConnection {
      return new Http1Connection(socket, {
        ...serving,
        serve(exchange) {
          const body = exchange.takeWhole();
          if (body === undefined || body.length > maxWholeBytes) return false;
          handle(new DirectWholeExchange(exchange, body, true));
          return true;
        },
        left,
      });
    },
    close: () => watch.close(),
  };
}

/** Who sends what cannot be read is told so, and no more is read. */
function refuse(socket: Socket): void {
  socket.on("error", () => {});
  socket.resume();
  socket.end("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
  setTimeout(() => socket.destroy(), 1000).unref();
}
