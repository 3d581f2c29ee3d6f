import * as http2 from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import type { TransportOptions } from "../options.js";
import { connectSocket, unreachable } from "./connect-socket.js";
import type { Endpoint } from "./endpoint.js";

/** How often connections are looked after. */
const tickMs = 5_000;
/** A connection with open streams that was silent for this long is asked whether it is alive … */
const pingAfterMs = 20_000;
/** … and must answer within this. */
const pingTimeoutMs = 10_000;
/** A connection without streams is closed after this long. */
const idleMs = 60_000;
/** Between attempts to connect to a server that cannot be reached: doubled each time, up to a second. */
const firstBackoffMs = 10;
const maxBackoffMs = 1_000;

/** Who waits for a stream. */
interface Waiter {
  take(stream: http2.ClientHttp2Stream): void;
  fail(error: ConnectError): void;
}

/** Limits of sessions. */
export interface Http2SessionsOptions {
  readonly maxSessions: number;
  readonly maxQueuedCalls: number;
}

/**
 * HTTP/2 connections to one server: one, and more only when the server's stream limit is reached. A connection that says GOAWAY
 * finishes its streams and gets no new ones; one that stops answering is given up.
 */
export class Http2Sessions {
  readonly #endpoint: Endpoint;
  readonly #tls: TransportOptions["tls"];
  readonly #options: Http2SessionsOptions;
  /** Those that may get new streams, or will once they are connected. */
  readonly #sessions: Session[] = [];
  /** Those that finish their streams and get no new ones. */
  readonly #retired = new Set<Session>();
  readonly #waiting: { headers: http2.OutgoingHttpHeaders; waiter: Waiter }[] = [];
  readonly #timer: NodeJS.Timeout;
  #open = 0;
  #backoffMs = 0;
  #retryAt = 0;
  #lastFailure: unknown;
  #closed: boolean = false;

  constructor(endpoint: Endpoint, tls: TransportOptions["tls"], options: Http2SessionsOptions) {
    this.#endpoint = endpoint;
    this.#tls = tls;
    this.#options = options;
    this.#timer = setInterval(() => this.#tick(), tickMs).unref();
  }

  /** Opens a stream as soon as a connection has room. Gives what stops waiting. */
  open(headers: http2.OutgoingHttpHeaders, waiter: Waiter): () => void {
    if (this.#closed) {
      waiter.fail(new ConnectError("the transport is closed", Code.Canceled));
      return ignore;
    }
    const session = this.#find();
    if (session !== undefined) {
      this.#start(session, headers, waiter);
      return ignore;
    }
    if (
      this.#sessions.length >= this.#options.maxSessions ||
      this.#sessions.some((candidate) => candidate.connecting)
    ) {
      return this.#enqueue(headers, waiter);
    }
    // While a server cannot be reached, asking it again for every call would only make its return harder.
    if (performance.now() < this.#retryAt) {
      waiter.fail(unreachable(this.#endpoint, this.#lastFailure));
      return ignore;
    }
    this.#connect();
    return this.#enqueue(headers, waiter);
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    const error = new ConnectError("the transport is closed", Code.Canceled);
    for (const { waiter } of this.#waiting.splice(0)) waiter.fail(error);
    for (const session of [...this.#sessions.splice(0), ...this.#retired]) {
      session.http2.destroy(error, http2.constants.NGHTTP2_CANCEL);
    }
  }

  #find(): Session | undefined {
    for (const session of this.#sessions) if (session.ready && session.streams < session.maxStreams) return session;
    return undefined;
  }

  #start(session: Session, headers: http2.OutgoingHttpHeaders, waiter: Waiter): void {
    let stream: http2.ClientHttp2Stream;
    try {
      stream = session.http2.request(headers, noEnd);
    } catch (error) {
      waiter.fail(ConnectError.from(error, Code.Unavailable));
      return;
    }
    session.streams++;
    if (this.#open++ === 0) this.#timer.ref();
    stream.once("close", () => {
      session.streams--;
      if (--this.#open === 0) this.#timer.unref();
      session.idleSince = performance.now();
      if (session.retired && session.streams === 0) session.http2.close();
      this.#serveWaiting();
    });
    waiter.take(stream);
  }

  #enqueue(headers: http2.OutgoingHttpHeaders, waiter: Waiter): () => void {
    if (this.#waiting.length >= this.#options.maxQueuedCalls) {
      const message = `${this.#options.maxQueuedCalls} calls wait for a connection: slow down, or raise maxQueuedCalls`;
      waiter.fail(new ConnectError(message, Code.ResourceExhausted));
      return ignore;
    }
    const entry = { headers, waiter };
    this.#waiting.push(entry);
    if (this.#open++ === 0) this.#timer.ref();
    return () => {
      const index = this.#waiting.indexOf(entry);
      if (index === -1) return;
      this.#waiting.splice(index, 1);
      if (--this.#open === 0) this.#timer.unref();
    };
  }

  #serveWaiting(): void {
    for (let session = this.#find(); session !== undefined; session = this.#find()) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#start(session, next.headers, next.waiter);
      if (--this.#open === 0) this.#timer.unref();
    }
    // All connections are full, and there may be more of them.
    const room = this.#waiting.length > 0 && this.#sessions.length < this.#options.maxSessions;
    if (room && !this.#closed && !this.#sessions.some(({ connecting }) => connecting)) this.#connect();
  }

  #connect(): void {
    const { baseUrl } = this.#endpoint;
    const http2Session = http2.connect(baseUrl, {
      createConnection: () => connectSocket(this.#endpoint, this.#tls, "h2"),
      settings: { enablePush: false, initialWindowSize: 1024 * 1024 },
    });
    const session = new Session(http2Session);
    this.#sessions.push(session);
    let failure: unknown;
    http2Session.once("remoteSettings", () => {
      http2Session.setLocalWindowSize(8 * 1024 * 1024);
      session.connecting = false;
      session.ready = true;
      this.#backoffMs = 0;
      this.#retryAt = 0;
      this.#serveWaiting();
    });
    http2Session.on("error", (error) => {
      failure = error;
    });
    http2Session.on("goaway", () => this.#retire(session));
    http2Session.on("close", () => {
      this.#remove(session);
      this.#retired.delete(session);
      if (session.connecting) this.#failed(failure);
      else if (!this.#closed) this.#serveOrConnect();
    });
    http2Session.unref();
  }

  #serveOrConnect(): void {
    this.#serveWaiting();
    if (this.#waiting.length > 0 && this.#sessions.length === 0) this.#connect();
  }

  #failed(cause: unknown): void {
    this.#backoffMs = Math.min(maxBackoffMs, this.#backoffMs === 0 ? firstBackoffMs : this.#backoffMs * 2);
    this.#retryAt = performance.now() + this.#backoffMs * (0.5 + Math.random() / 2);
    this.#lastFailure = cause;
    const waiting = this.#waiting.splice(0);
    for (const { waiter } of waiting) {
      if (--this.#open === 0) this.#timer.unref();
      waiter.fail(unreachable(this.#endpoint, cause ?? "the connection was closed"));
    }
  }

  #retire(session: Session): void {
    session.ready = false;
    session.retired = true;
    this.#remove(session);
    this.#retired.add(session);
    if (session.streams === 0) session.http2.close();
    this.#serveOrConnect();
  }

  #remove(session: Session): void {
    const index = this.#sessions.indexOf(session);
    if (index !== -1) this.#sessions.splice(index, 1);
  }

  #tick(): void {
    for (const session of [...this.#sessions]) {
      if (session.streams === 0) {
        if (session.ready && performance.now() - session.idleSince > idleMs) this.#retire(session);
      } else session.checkAlive();
    }
  }
}

const noEnd: http2.ClientSessionRequestOptions = { endStream: false };

class Session {
  readonly http2: http2.ClientHttp2Session;
  connecting: boolean = true;
  ready: boolean = false;
  retired: boolean = false;
  streams = 0;
  idleSince = performance.now();
  #bytesRead = 0;
  #heardAt = performance.now();
  #pinged: boolean = false;

  constructor(session: http2.ClientHttp2Session) {
    this.http2 = session;
  }

  /** Node would queue what exceeds the server's limit, without a limit of its own. */
  get maxStreams(): number {
    return this.http2.remoteSettings.maxConcurrentStreams ?? Number.POSITIVE_INFINITY;
  }

  /** Asks a silent connection for a sign of life, and gives it up when there is none. */
  checkAlive(): void {
    const now = performance.now();
    const bytesRead = this.http2.socket?.bytesRead ?? 0;
    if (bytesRead !== this.#bytesRead) {
      this.#bytesRead = bytesRead;
      this.#heardAt = now;
      this.#pinged = false;
      return;
    }
    if (this.#pinged) {
      if (now - this.#heardAt > pingAfterMs + pingTimeoutMs) {
        this.http2.destroy(new ConnectError("the server stopped answering", Code.Unavailable));
      }
      return;
    }
    if (now - this.#heardAt < pingAfterMs || this.http2.destroyed) return;
    this.#pinged = true;
    this.http2.ping(() => {
      this.#heardAt = performance.now();
      this.#pinged = false;
    });
  }
}

function ignore(): void {}
