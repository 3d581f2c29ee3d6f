import * as http from "node:http";
import * as http2 from "node:http2";
import * as net from "node:net";
import * as tls from "node:tls";
import type { ProxyHandler, ServerTlsOptions } from "../options.js";
import type { ExchangeEnvironment } from "./exchange.js";
import { Http1Connection, type Http1Serving } from "./http1-connection.js";
import type { Limits } from "./limits.js";
import { sniff } from "./sniff.js";

/** The one port: a listener that gives each connection to the HTTP server of its version. */
export interface Listener {
  readonly server: net.Server | tls.Server;
  readonly h1: http.Server;
  readonly h2: http2.Http2Server;
  /** Refuses new connections, closes idle ones, and has the others closed when they become idle. */
  drain(): void;
  /** Ends what is still open. */
  destroy(): void;
  /** Resolves when no connection is left. */
  readonly closed: Promise<void>;
}

/** What a listener needs. */
export interface ListenerOptions {
  readonly limits: Limits;
  readonly tls: ServerTlsOptions | undefined;
  readonly proxy: ProxyHandler | undefined;
  readonly environment: ExchangeEnvironment;
  /** Serves a plain call over HTTP/1.1, or says that it is for `h1`. */
  readonly onCall: Http1Serving["serve"];
}

/** How long an HTTP/1.1 connection may be idle after an answer. */
const keepAliveMs = 65_000;

/** An HTTP/1.1 client may close its side after the request and still wants the answer. */
const halfOpen = { noDelay: true, allowHalfOpen: true };

/** Makes the listener; nothing listens yet. */
export function createListener({ limits, tls: tlsOptions, proxy, environment, onCall }: ListenerOptions): Listener {
  const h1 = http.createServer({
    maxHeaderSize: limits.maxHeaderBytes,
    headersTimeout: limits.headersTimeoutMs,
    // A unary body's timeout is ours (a long upload stream is legitimate).
    requestTimeout: 0,
    connectionsCheckingInterval: Math.min(1000, Math.ceil(limits.headersTimeoutMs / 4)),
    keepAliveTimeout: keepAliveMs,
    noDelay: true,
    // What is not the proxy's is served as if it had not asked to change protocols (from Node 24.9 on; before that it is refused).
    shouldUpgradeCallback: ({ url, headers }) => proxy?.takes(url ?? "", headers) === true,
  });
  const h2 = http2.createServer({
    settings: {
      maxConcurrentStreams: limits.maxStreamsPerConnection,
      maxHeaderListSize: limits.maxHeaderBytes,
      initialWindowSize: 1024 * 1024,
      enablePush: false,
    },
    // CVE-2023-44487: a client that opens and resets streams costs us work and itself nothing.
    streamResetRate: limits.maxResetsPerSecond,
    streamResetBurst: limits.maxResetsPerSecond * 10,
  });
  const sockets = new Set<net.Socket>();
  const direct = new Set<Http1Connection>();
  const sessions = new Set<http2.ServerHttp2Session>();
  const undecided = new Set<net.Socket>();

  h2.on("session", (session) => {
    session.setLocalWindowSize(8 * 1024 * 1024);
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
  });

  const serving: Http1Serving = {
    environment,
    maxHeaderBytes: limits.maxHeaderBytes,
    headersTimeoutMs: limits.headersTimeoutMs,
    keepAliveMs,
    serve: onCall,
    handOver: (socket) => void h1.emit("connection", socket),
    left: (connection) => void direct.delete(connection),
  };
  const serveHttp1 = (socket: net.Socket): Http1Connection => {
    const connection = new Http1Connection(socket, serving);
    direct.add(connection);
    return connection;
  };
  const track = (socket: net.Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  };
  const accept = (socket: net.Socket) => {
    if (socket instanceof tls.TLSSocket) {
      if (socket.alpnProtocol === "h2") h2.emit("connection", socket);
      else serveHttp1(socket);
      return;
    }
    undecided.add(socket);
    socket.once("close", () => undecided.delete(socket));
    sniff(socket, limits.headersTimeoutMs, (isHttp2, seen) => {
      undecided.delete(socket);
      if (!isHttp2) {
        serveHttp1(socket).read(seen);
        return;
      }
      socket.allowHalfOpen = false;
      socket.unshift(seen);
      h2.emit("connection", socket);
    });
  };

  const server = tlsOptions ? createTlsServer(tlsOptions, limits, accept) : net.createServer(halfOpen, accept);
  server.maxConnections = limits.maxConnections;
  // For TLS too this is the TCP connection, which may never finish its handshake.
  server.on("connection", track);
  // The HTTP/1.1 server never listens itself; without this its timeouts and closeIdleConnections() do nothing.
  server.once("listening", () => h1.emit("listening"));

  const closed = new Promise<void>((resolve) => server.once("close", resolve));
  return {
    server,
    h1,
    h2,
    closed,
    drain() {
      server.close();
      for (const socket of undecided) socket.destroy();
      for (const connection of direct) connection.drain();
      // An HTTP/1.1 connection that is busy now is told with its answer, or closed here once it is idle.
      h1.prependListener("request", (_request, response) => {
        response.shouldKeepAlive = false;
      });
      h1.closeIdleConnections();
      const idle = setInterval(() => h1.closeIdleConnections(), 50);
      void closed.then(() => {
        clearInterval(idle);
        // Ends the timer that looks for slow headers.
        h1.close();
      });
      for (const session of sessions) session.close();
    },
    destroy() {
      for (const session of sessions) session.destroy();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function createTlsServer(options: ServerTlsOptions, limits: Limits, accept: (socket: net.Socket) => void): tls.Server {
  const server = tls.createServer({
    key: toPem(options.key),
    cert: toPem(options.cert),
    ...(options.ca === undefined ? {} : { ca: toPem(options.ca) }),
    requestCert: options.requestClientCert ?? false,
    rejectUnauthorized: options.requestClientCert ?? false,
    ALPNProtocols: ["h2", "http/1.1"],
    handshakeTimeout: limits.headersTimeoutMs,
    minVersion: "TLSv1.2",
  });
  server.on("secureConnection", (socket) => {
    socket.setNoDelay(true);
    accept(socket);
  });
  // A failed handshake is the client's; its socket is already destroyed.
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  return server;
}

function toPem(pem: string | Uint8Array): string | Buffer {
  return typeof pem === "string" ? pem : Buffer.from(pem);
}
