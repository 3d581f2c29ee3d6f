import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import type { Duplex, Writable } from "node:stream";
import type { JsonReadOptions, JsonWriteOptions } from "@bufbuild/protobuf";
import type { ConnectError, ConnectRouter, ContextValues, Interceptor } from "@connectrpc/connect";
import type { HeaderFields } from "./wire/http1-headers.js";

/** Where a server listens: a TCP port or a Unix socket. */
export type ListenOptions =
  | {
      /** The address to bind. Default `127.0.0.1`: nothing listens on a public address unless asked to. */
      host?: string;
      /** The TCP port, 0 to 65535. Default 0: any free one; `RpcServer.endpoint` tells which. */
      port?: number;
    }
  | {
      /** The path of a Unix socket. A stale socket (nobody answers) is replaced; a live one is `EADDRINUSE`. Created with mode 0600. */
      path: string;
    };

/** What a request looks like before anything of its body was read. */
export interface RequestHead {
  /** The HTTP method: "POST". */
  readonly method: string;
  /** The request target as it was sent, with its query: "/mecha.state.v1.StateService/Get". */
  readonly url: string;
  /** Looks a header up by its lower-case name; repeated ones are joined with ", ". HTTP/2's `:authority` answers for `host`. */
  header(name: string): string | undefined;
  /** The peer's address, or undefined on a Unix socket. */
  readonly remoteAddress: string | undefined;
}

/**
 * Plain HTTP that is no RPC of a route: doors beside the contracts, such as `/healthz`. Over HTTP/2 it gets Node's compatible
 * `Http2ServerRequest` and `Http2ServerResponse`. What it throws, or rejects with, is answered as an internal error (after `describeError`); if the
 * answer has begun it is broken off.
 */
export type FallbackHandler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

/**
 * Takes requests that go elsewhere, whatever their path says. Their bodies may take as long as they like; a client that reads nothing of an answer is
 * still cut off. Over HTTP/2 it gets Node's compatible `Http2ServerRequest` and `Http2ServerResponse`.
 */
export interface ProxyHandler {
  /** Whether a request is the proxy's. Asked for every request, so it must be quick. */
  takes(url: string, headers: IncomingHttpHeaders): boolean;
  /** Answers it. One with `expect: 100-continue` has not been told to go on: that is the proxy's to do. */
  handle(request: IncomingMessage, response: ServerResponse): void;
  /** Answers a request to change protocols on an HTTP/1.1 connection; the socket is the proxy's from now on. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /**
   * Answers a small request over HTTP/1.1 that has come as a whole, at a fraction of what `handle` costs; or says, before anything has happened to
   * it, that it is for `handle`. Default: all are. What is in the least unusual never comes here.
   */
  handleWhole?(exchange: WholeExchange): boolean;
}

/** A small request that has come as a whole, and the way back to whoever sent it. */
export interface WholeExchange {
  readonly method: string;
  /** The request target as it was sent, with its query. */
  readonly url: string;
  /** As Node gives them; whoever gets them may change them. */
  readonly headers: IncomingHttpHeaders;
  readonly body: Uint8Array;
  readonly remoteAddress: string | undefined;
  /** Whether it came over TLS. */
  readonly secure: boolean;
  /** Whether an answer has begun. */
  readonly responded: boolean;
  /** Sends a word before the answer (1xx). */
  inform(status: number, headers: HeaderFields): void;
  /** Sends the whole answer. Throws if a header cannot be written. */
  respond(status: number, headers: HeaderFields, body: Uint8Array): void;
  /** Begins an answer whose body is written as it comes: with the length that the headers tell, or in chunks. */
  begin(status: number, headers: HeaderFields): Writable;
  /** Ends an answer that was begun; trailers are sent behind chunks, and nowhere else. */
  finish(trailers: HeaderFields): void;
  /** Ends the connection, so that nobody takes the answer for whole. */
  breakOff(): void;
  /** Calls back when the client goes before it has its whole answer. */
  onGone(gone: () => void): void;
}

/** Options of {@link serve}. */
export interface ServeOptions {
  /** The services, as for any Connect server: `(router) => router.service(StateService, impl)`. */
  routes: (router: ConnectRouter) => void;
  /** Where to listen. Default: a free port on 127.0.0.1. */
  listen?: ListenOptions;
  /** TLS; then HTTP/1.1 and HTTP/2 are told apart by ALPN. Default: cleartext, told apart by the connection's first bytes. */
  tls?: ServerTlsOptions;
  /** Interceptors around every RPC, outermost first. */
  interceptors?: Interceptor[];
  /**
   * Decides about a request before its body is read, for RPCs and for plain HTTP alike. An error refuses it, encoded as the
   * request's protocol wants it (plain HTTP: the Connect error JSON and its HTTP status). One that throws refuses with an internal error.
   */
  guard?: (head: RequestHead) => ConnectError | undefined;
  /**
   * Origins (`https://shop.example`) whose web pages may call: their preflights are answered, and CORS headers let them read the answers. Whether
   * pages of other origins are refused is the guard's to decide. Default: none.
   */
  allowedOrigins?: readonly string[];
  /** Values for handlers and interceptors, made per RPC. */
  contextValues?: (head: RequestHead) => ContextValues;
  /**
   * Has the last word about the error of a unary or gRPC call: so that what the server itself refuses (a message that cannot be read or is too
   * large) bears the same details as what handlers refuse. Default: as it is.
   */
  describeError?: (error: ConnectError) => ConnectError;
  /** Takes requests that go elsewhere, before the routes are asked and after the guard. Default: none. */
  proxy?: ProxyHandler;
  /** Serves what is no RPC. Default: 404. */
  fallback?: FallbackHandler;
  /** Limits; each has a default. */
  limits?: ServerLimits;
  /** Compresses messages of at least this many bytes for callers that accept it. Default 1024; `Infinity` never does. */
  compressMinBytes?: number;
  /** How JSON messages are read and written. */
  jsonOptions?: Partial<JsonReadOptions & JsonWriteOptions>;
}

/** The server's side of TLS, in PEM. */
export interface ServerTlsOptions {
  key: string | Uint8Array;
  cert: string | Uint8Array;
  /** Certificate authorities that client certificates are checked against. Default: the system's. */
  ca?: string | Uint8Array;
  /** Whether a client must present a certificate that `ca` vouches for. Default false. */
  requestClientCert?: boolean;
}

/** Limits that protect a server; all have defaults. */
export interface ServerLimits {
  /** The largest message that is read, in bytes after decompression. Default 4 MiB + 64 KiB (a 4 MiB value and its envelope). */
  readMaxBytes?: number;
  /** The largest message that is written, in bytes. Default 64 MiB. */
  writeMaxBytes?: number;
  /** The longest deadline that a caller may ask for, in ms. Default: no limit. */
  maxTimeoutMs?: number;
  /** The largest set of request headers, in bytes. Default 16 KiB. */
  maxHeaderBytes?: number;
  /** How long a client may take to send its request's headers, in ms. Default 10 000. */
  headersTimeoutMs?: number;
  /** How long a client may take to send a request's body, in ms, unless the method takes a stream. Default 30 000. */
  bodyTimeoutMs?: number;
  /** How long a client may read nothing of what was written to it, in ms. Default 30 000. */
  writeTimeoutMs?: number;
  /** Concurrent connections. Default 10 000. */
  maxConnections?: number;
  /** Concurrent HTTP/2 streams a connection. Default 256. */
  maxStreamsPerConnection?: number;
  /** HTTP/2 streams that a client may reset a second, on average over ten; one more closes its connection (CVE-2023-44487). Default 1000. */
  maxResetsPerSecond?: number;
}

/** A server that listens. */
export interface RpcServer {
  /** Where clients reach it: `http://127.0.0.1:3600`, `https://…` or `unix:/path`. */
  readonly endpoint: string;
  /**
   * Takes another certificate: connections that come from now on get it, those that are open go on. With `requestClientCert` these are the
   * authorities too; whether a client must have one stays as it was.
   *
   * @throws TypeError if the server was not started with TLS
   * @throws Error of OpenSSL if key and certificate do not belong together; the former ones stay then
   */
  renewTls(tls: Pick<ServerTlsOptions, "key" | "cert" | "ca">): void;
  /**
   * Stops accepting, closes idle connections, sends GOAWAY, waits for what is in flight, and cancels what is left at the deadline.
   *
   * @param options.deadlineMs how long to wait, in ms. Default 30 000.
   */
  close(options?: { deadlineMs?: number }): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Options of {@link createTransport}. */
export interface TransportOptions {
  /** `http://host:port`, `https://host:port` or `unix:/path`. */
  endpoint: string;
  /** The protocol spoken. Default "connect". */
  protocol?: "connect" | "grpc" | "grpc-web";
  /**
   * The HTTP version. Default: whichever costs least, which is "1.1" for unary calls and "2" for streams; gRPC is always "2".
   * Bidirectional streams go over HTTP/2 whatever is said here.
   */
  httpVersion?: "1.1" | "2";
  /** The client's side of TLS, in PEM. */
  tls?: {
    ca?: string | Uint8Array;
    key?: string | Uint8Array;
    cert?: string | Uint8Array;
    /** The name to check the server's certificate against. Default: the endpoint's host. */
    serverName?: string;
  };
  /** Interceptors around every call, outermost first. */
  interceptors?: Interceptor[];
  /** JSON instead of binary messages. Default false. */
  useJson?: boolean;
  /** How JSON messages are read and written. */
  jsonOptions?: Partial<JsonReadOptions & JsonWriteOptions>;
  /** Sends calls without side effects as GET, so that caches may answer. Connect only. Default false. */
  useHttpGet?: boolean;
  /** The deadline of calls that set none, in ms. Default: none. */
  defaultTimeoutMs?: number;
  /** The largest message that is read, in bytes. Default 64 MiB. */
  readMaxBytes?: number;
  /** The largest message that is written, in bytes. Default 64 MiB. */
  writeMaxBytes?: number;
  /** Compresses messages of at least this many bytes. Default `Infinity`: never (the runtime is on the same host). */
  compressMinBytes?: number;
  /** What messages are compressed with. Default "gzip". */
  compression?: "gzip" | "br";
  /** Whether to ask for compressed answers (gzip or br). Default: unless the endpoint is a Unix socket or a loopback address. */
  acceptCompression?: boolean;
  /** Concurrent HTTP/1.1 connections. Default 64. */
  maxConnections?: number;
  /** Calls that may wait for a connection; one more is RESOURCE_EXHAUSTED. Default 10 000. */
  maxQueuedCalls?: number;
}

/** Options of {@link createInProcessTransport}. */
export interface InProcessTransportOptions {
  /** Interceptors on the server's side, as in {@link ServeOptions.interceptors}. */
  serverInterceptors?: Interceptor[];
  /** Interceptors on the client's side. */
  interceptors?: Interceptor[];
  /** Values for handlers and interceptors, made per RPC. */
  contextValues?: () => ContextValues;
  /** The deadline of calls that set none, in ms. Default: none. */
  defaultTimeoutMs?: number;
  /**
   * Freezes every message that is handed over, so that a change after the hand-over throws instead of changing the other side's
   * data. Default: whether `NODE_ENV` is "test".
   */
  freezeMessages?: boolean;
}
