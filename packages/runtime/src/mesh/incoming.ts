import * as http2 from "node:http2";
import type * as net from "node:net";
import * as tls from "node:tls";
import { type Credentials, mutualTls, verifyPeer } from "@mecha/identity";
import { type ArrivalContext, arrive } from "./arriving.js";
import { maxHeaders } from "./headers.js";
import { fromStream } from "./inbound-stream.js";
import { fromWhole } from "./inbound-whole.js";
import { createIncomingLane } from "./incoming-lane.js";

/** The mesh port: takes the calls of other runtimes, and passes them to the app. */
export interface Incoming {
  /** The port that it listens on. */
  readonly port: number;
  /** How many runtimes are connected. */
  readonly sessions: number;
  /** Takes no more calls; resolves when those in flight are over. */
  close(): Promise<void>;
  /** Ends what is still open. */
  destroy(): void;
}

export interface IncomingOptions extends ArrivalContext {
  readonly host: string;
  readonly port: number;
}

const handshakeTimeoutMs = 10_000;
const maxConnections = 10_000;
/** Of these, those that only make small calls cheaper leave room for sessions, without which there are no calls at all. */
const maxLaneConnections = 5_000;
const maxStreamsPerConnection = 1_000;
const maxResetsPerSecond = 1_000;

/** Listens. Only runtimes of this trust domain and namespace get further than the handshake. */
export async function listenForPeers(options: IncomingOptions): Promise<Incoming> {
  const { host, port, identity, clock, logger } = options;
  const sessions = new Set<http2.ServerHttp2Session>();
  const lane = createIncomingLane();
  const sockets = new Set<net.Socket>();
  const settings = { ...tlsOptions(identity.current), handshakeTimeout: handshakeTimeoutMs };
  const server = tls.createServer(settings, (socket) => {
    const verdict = verifyPeer(socket.getPeerX509Certificate(), identity.current.id);
    if ("refusal" in verdict || socket.alpnProtocol === false) {
      const why = "refusal" in verdict ? verdict.refusal : "it does not say whether it speaks HTTP/2";
      logger.warn({ remoteAddress: socket.remoteAddress }, `refused a connection to the mesh port: ${why}`);
      socket.destroy();
      return;
    }
    socket.setNoDelay(true);
    const caller = verdict.id.appId;
    const untilExpiry = Math.max(0, verdict.expireTime - clock.now());
    if (socket.alpnProtocol === "http/1.1" && lane.size >= maxLaneConnections) {
      socket.destroy();
      return;
    }
    if (socket.alpnProtocol === "http/1.1") {
      const end = lane.serve(socket, (exchange) => {
        const { host: called } = exchange.headers;
        // What HTTP/2 says elsewhere.
        delete exchange.headers.host;
        void arrive(options, { caller, called, isWebSocket: false, inbound: fromWhole(exchange, exchange.url) });
      });
      socket.once("close", clock.after(untilExpiry, end));
      return;
    }
    const session = http2.performServerHandshake(socket, sessionOptions);
    session.on("error", () => {}); // Told to each of its streams; "close" follows.
    session.setLocalWindowSize(8 * 1024 * 1024);
    session.on("stream", (stream, headers) => {
      const isWebSocket = headers[":method"] === "CONNECT" && headers[":protocol"] === "websocket";
      const inbound = fromStream(stream, headers);
      void arrive(options, { caller, called: headers[":authority"], isWebSocket, inbound });
    });
    sessions.add(session);
    // A connection does not outlive the certificate that it was opened with: its calls end, and the next one comes on a new one.
    const cancelExpiry = clock.after(untilExpiry, () => session.close());
    session.once("close", () => {
      sessions.delete(session);
      cancelExpiry();
    });
  });
  server.maxConnections = maxConnections;
  // For TLS too this is the TCP connection, which may never finish its handshake.
  server.on("connection", (socket: net.Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  // Without a certificate, or with one that is not vouched for or expired. OpenSSL does not say which.
  server.on("tlsClientError", (error, socket) => {
    logger.debug({ remoteAddress: socket.remoteAddress, error: error.message }, "a handshake on the mesh port failed");
    socket.destroy();
  });
  const stopListening = identity.onChange((credentials) => server.setSecureContext(tlsOptions(credentials)));
  const actual = await listen(server, host, port);
  const closed = new Promise<void>((resolve) => server.once("close", () => resolve())).then(() => lane.close());
  return {
    port: actual,
    get sessions() {
      return sessions.size + lane.size;
    },
    close() {
      stopListening();
      server.close();
      for (const session of sessions) session.close();
      lane.drain();
      if (sessions.size + lane.size === 0) for (const socket of sockets) socket.destroy();
      return closed;
    },
    destroy() {
      for (const session of sessions) session.destroy();
      for (const socket of sockets) socket.destroy();
    },
  };
}

const sessionOptions: http2.SecureServerSessionOptions & http2.ServerSessionOptions = {
  settings: {
    enableConnectProtocol: true,
    enablePush: false,
    initialWindowSize: 1024 * 1024,
    maxConcurrentStreams: maxStreamsPerConnection,
    maxHeaderListSize: 64 * 1024,
  },
  maxSessionMemory: 64,
  // As many headers as the app's own calls may have.
  maxHeaderListPairs: maxHeaders,
  // All callers of an app share a session: some that hang up must not end it for the others.
  streamResetRate: maxResetsPerSecond,
  streamResetBurst: maxResetsPerSecond * 10,
};

const tlsOptions = (credentials: Credentials): tls.TlsOptions => ({
  ...mutualTls(credentials),
  ALPNProtocols: ["h2", "http/1.1"],
});

/** The port that was asked for, or any free one if somebody has it: where it is, others are told by discovery. */
async function listen(server: tls.Server, host: string, port: number): Promise<number> {
  const bind = (at: number) =>
    new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host, port: at }, () => {
        server.off("error", reject);
        resolve();
      });
    });
  await bind(port).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EADDRINUSE") throw error;
    return bind(0);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a TCP listener has no port");
  return address.port;
}
