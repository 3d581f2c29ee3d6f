import type { TLSSocket } from "node:tls";
import { serveWhole, type WholeExchange } from "@mecha/rpc";
import { untouchedHeader } from "./headers.js";
import { greeting } from "./lane.js";

/** The connections of the mesh port that carry small whole calls. */
export interface IncomingLane {
  /** How many there are. */
  readonly size: number;
  /** Serves a connection; gives what ends it once its call is over. */
  serve(socket: TLSSocket, handle: (exchange: WholeExchange) => void): () => void;
  /** Takes no more calls. */
  drain(): void;
  close(): void;
}

/** As many bytes as the HTTP/2 sessions take. */
const maxHeaderBytes = 64 * 1024;
const requestTimeoutMs = 30_000;
/** The calling runtime reads no faster than its own caller, whom it gives half a minute. */
const writeTimeoutMs = 120_000;
/** The calling runtime ends what it does not use sooner. */
const keepAliveMs = 6 * 60_000;

/** A call that crosses the end of an idle connection is answered with it: nothing was done, and it may go to another instance. */
const farewell = `HTTP/1.1 503 Service Unavailable\r\n${untouchedHeader}: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`;

export function createIncomingLane(): IncomingLane {
  const serving = serveWhole({ maxHeaderBytes, requestTimeoutMs, writeTimeoutMs, keepAliveMs, farewell });
  const connections = new Set<{ drain(): void }>();
  return {
    get size() {
      return connections.size;
    },
    serve(socket, handle) {
      socket.write(greeting, "latin1");
      const connection = serving.connection(socket, handle, () => connections.delete(connection));
      connections.add(connection);
      return () => connection.drain();
    },
    drain() {
      for (const connection of connections) connection.drain();
    },
    close: () => serving.close(),
  };
}
