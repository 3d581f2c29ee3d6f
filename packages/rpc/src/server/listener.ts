import * as http from "node:http";
import * as http2 from "node:http2";
import * as net from "node:net";
import * as tls from "node:tls";
import type { ProxyHandler, ServerTlsOptions } from "../options.js";
import type { Http2RequestHead } from "../wire/http2-request-head.js";
import type { ExchangeEnvironment } from "./exchange.js";
import { Http1Connection } from "./http1-connection.js";
import type { Http1Serving } from "./http1-serving.js";
import { Http2Connection, type Http2Serving } from "./http2-connection.js";
import { streamWindow } from "./http2-direct-exchange.js";
import { rememberRemoteAddress } from "./http2-exchange.js";
import { peekFirstRequest } from "./http2-input.js";
import { connectionWindow } from "./http2-streams.js";
import type { Limits } from "./limits.js";
import { sniff } from "./sniff.js";

/** The one port: a listener that gives each connection to the HTTP server of its version. */
export interface Listener {
  readonly server: net.Server | tls.Server;
  readonly h1: http.Server;
  readonly h2: http2.Http2Server;
  /** Takes another certificate for the connections that come. */
  renewTls(options: Pick<ServerTlsOptions, "key" | "cert" | "ca">): void;
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
  /** Whether a request over HTTP/1.1 is served directly only when all of its body is there. */
  readonly needsWhole: NonNullable<Http1Serving["needsWhole"]>;
  /** Serves a plain request over HTTP/1.1, or says that it is for `h1`. */
  readonly onCall: Http1Serving["serve"];
  /** Serves a plain call over HTTP/2, or says that it is for `h2`. */
  readonly onHttp2Call: Http2Serving["serve"];
  /** Whether it would be served. */
  readonly isHttp2Call: (head: Http2RequestHead) => boolean;
}

/** How long an HTTP/1.1 connection may be idle after an answer. */
const keepAliveMs = 65_000;

/** How long a request that is served when it is whole may take to be so, before Node serves it as it comes. */
const wholeWithinMs = 20;

/** An HTTP/1.1 client may close its side after the request and still wants the answer. */
const halfOpen = { noDelay: true, allowHalfOpen: true };

/** Makes the listener; nothing listens yet. */
export function createListener({ limits, tls: tlsOptions, proxy, environment, ...direct }: ListenerOptions): Listener {
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
      initialWindowSize: streamWindow,
      enablePush: false,
    },
    // CVE-2023-44487: a client that opens and resets streams costs us work and itself nothing.
    streamResetRate: limits.maxResetsPerSecond,
    streamResetBurst: limits.maxResetsPerSecond * 10,
  });
  const sockets = new Set<net.Socket>();
  const connections = new Set<Http1Connection | Http2Connection>();
  const sessions = new Set<http2.ServerHttp2Session>();
  const undecided = new Set<net.Socket>();

  /** Where the connection that is given to `h2` at the moment comes from, when it is no socket. */
  let injectedFrom: string | undefined;
  h2.on("session", (session) => {
    session.setLocalWindowSize(connectionWindow);
    sessions.add(session);
    if (injectedFrom !== undefined) rememberRemoteAddress(session, injectedFrom);
    injectedFrom = undefined;
    session.once("close", () => sessions.delete(session));
  });

  const serving: Http1Serving = {
    environment,
    maxHeaderBytes: limits.maxHeaderBytes,
    headersTimeoutMs: limits.headersTimeoutMs,
    keepAliveMs,
    needsWhole: direct.needsWhole,
    wholeWithinMs,
    serve: direct.onCall,
    handOver: (socket) => void h1.emit("connection", socket),
    left: (connection) => void connections.delete(connection),
  };
  const http2Serving: Http2Serving = {
    environment,
    limits,
    serve: direct.onHttp2Call,
    inject(connection, remoteAddress) {
      injectedFrom = remoteAddress;
      h2.emit("connection", connection);
    },
    left: (connection) => void connections.delete(connection),
  };
  const serveHttp1 = (socket: net.Socket): Http1Connection => {
    const connection = new Http1Connection(socket, serving);
    connections.add(connection);
    return connection;
  };
  const serveHttp2 = (socket: net.Socket, seen: Buffer) => {
    socket.allowHalfOpen = false;
    if (isForNode(seen, limits.maxHeaderBytes, direct.isHttp2Call)) {
      socket.unshift(seen);
      h2.emit("connection", socket);
      return;
    }
    const connection = new Http2Connection(socket, http2Serving);
    connections.add(connection);
    connection.read(seen);
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
      if (isHttp2) serveHttp2(socket, seen);
      else serveHttp1(socket).read(seen);
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
    renewTls(options) {
      if (!(server instanceof tls.Server)) throw new TypeError("the server was started without TLS");
      server.setSecureContext(secretsOf(options));
    },
    drain() {
      server.close();
      for (const socket of undecided) socket.destroy();
      for (const connection of connections) connection.drain();
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

/**
 * Whether a connection begins with a request that is not served directly: then the others hardly will be, and it goes to `node:http2` as it is. So does
 * one that begins with what cannot be read.
 */
function isForNode(seen: Buffer, maxHeaderBytes: number, isCall: (head: Http2RequestHead) => boolean): boolean {
  try {
    const first = peekFirstRequest(seen, maxHeaderBytes);
    return first !== undefined && (first.head === undefined || !isCall(first.head));
  } catch {
    return true;
  }
}

function createTlsServer(options: ServerTlsOptions, limits: Limits, accept: (socket: net.Socket) => void): tls.Server {
  const server = tls.createServer({
    ...secretsOf(options),
    requestCert: options.requestClientCert ?? false,
    rejectUnauthorized: options.requestClientCert ?? false,
    ALPNProtocols: ["h2", "http/1.1"],
    handshakeTimeout: limits.headersTimeoutMs,
  });
  server.on("secureConnection", (socket) => {
    socket.setNoDelay(true);
    accept(socket);
  });
  // A failed handshake is the client's; its socket is already destroyed.
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  return server;
}

/** What a server may change while it runs; what is left out then would be Node's default. */
function secretsOf({ key, cert, ca }: Pick<ServerTlsOptions, "key" | "cert" | "ca">): tls.SecureContextOptions {
  return { key: toPem(key), cert: toPem(cert), ...(ca !== undefined && { ca: toPem(ca) }), minVersion: "TLSv1.2" };
}

function toPem(pem: string | Uint8Array): string | Buffer {
  return typeof pem === "string" ? pem : Buffer.from(pem);
}
