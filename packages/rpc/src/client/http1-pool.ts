import type { Socket } from "node:net";
import { Code, ConnectError } from "@connectrpc/connect";
import type { TransportOptions } from "../options.js";
import { connectionLost, connectSocket, unreachable } from "./connect-socket.js";
import type { Endpoint } from "./endpoint.js";
import { type Http1Response, Http1ResponseReader } from "./http1-response.js";

/** A request on its way. */
export interface Http1Request {
  /** The request line and all headers but the length, each line ended. */
  readonly head: string;
  readonly body: Uint8Array | undefined;
  done(error: ConnectError | undefined, response: Http1Response | undefined): void;
}

/** Limits of a pool. */
export interface Http1PoolOptions {
  readonly maxConnections: number;
  readonly maxQueuedCalls: number;
  readonly readMaxBytes: number;
}

/** A connection that nobody uses is closed after this long, well before servers do it. */
const idleMs = 30_000;

/**
 * HTTP/1.1 connections that are kept alive, one request at a time on each. Requests are written by hand: one string, one write.
 */
export class Http1Pool {
  readonly #endpoint: Endpoint;
  readonly #tls: TransportOptions["tls"];
  readonly #options: Http1PoolOptions;
  readonly #connections = new Set<Connection>();
  /** Those without a request, the latest used last: the others may close. */
  readonly #idle: Connection[] = [];
  readonly #queue: Http1Request[] = [];
  #queueHead = 0;
  /** Sockets do not keep the process alive; this timer does, while calls run. */
  readonly #timer: NodeJS.Timeout;
  #running = 0;
  #closed: boolean = false;

  constructor(endpoint: Endpoint, tls: TransportOptions["tls"], options: Http1PoolOptions) {
    this.#endpoint = endpoint;
    this.#tls = tls;
    this.#options = options;
    this.#timer = setInterval(() => this.#closeIdle(), 5000).unref();
  }

  /** Sends a request as soon as a connection is free. Gives what cancels it. */
  send(request: Http1Request): () => void {
    if (this.#closed) {
      request.done(new ConnectError("the transport is closed", Code.Canceled), undefined);
      return ignore;
    }
    if (this.#running++ === 0) this.#timer.ref();
    let connection = this.#idle.pop();
    while (connection !== undefined && !connection.usable) connection = this.#idle.pop();
    if (connection === undefined) {
      if (this.#connections.size >= this.#options.maxConnections) return this.#enqueue(request);
      connection = this.#connect();
    }
    connection.send(request);
    const sent = connection;
    return () => sent.cancel(request);
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    const error = new ConnectError("the transport is closed", Code.Canceled);
    for (const request of this.#queue.splice(this.#queueHead)) request.done(error, undefined);
    for (const connection of this.#connections) connection.destroy(error);
  }

  #enqueue(request: Http1Request): () => void {
    if (this.#queue.length - this.#queueHead >= this.#options.maxQueuedCalls) {
      this.#finished();
      const message = `all ${this.#options.maxConnections} connections are busy and ${this.#options.maxQueuedCalls} calls wait: slow down, or raise maxConnections or maxQueuedCalls`;
      request.done(new ConnectError(message, Code.ResourceExhausted), undefined);
      return ignore;
    }
    // Whoever takes it from the queue sends it on a connection that this does not know yet.
    let connection: Connection | undefined;
    let canceled = false;
    this.#queue.push({
      head: request.head,
      body: request.body,
      done: (error, response) => {
        if (!canceled) request.done(error, response);
      },
    });
    const queued = this.#queue[this.#queue.length - 1] as Http1Request;
    return () => {
      canceled = true;
      const index = this.#queue.indexOf(queued, this.#queueHead);
      if (index !== -1) {
        this.#queue.splice(index, 1);
        this.#finished();
        return;
      }
      for (connection of this.#connections) connection.cancel(queued);
    };
  }

  #connect(): Connection {
    const connection: Connection = new Connection(this.#endpoint, this.#tls, this.#options.readMaxBytes, {
      free: () => this.#free(connection),
      gone: () => this.#gone(connection),
    });
    this.#connections.add(connection);
    return connection;
  }

  /** A connection has given its answer. */
  #free(connection: Connection): void {
    const next = this.#next();
    if (next === undefined) this.#idle.push(connection);
    else connection.send(next);
    this.#finished();
  }

  /** A connection has ended; whoever waits gets a new one. */
  #gone(connection: Connection): void {
    this.#connections.delete(connection);
    const index = this.#idle.indexOf(connection);
    if (index === -1) this.#finished();
    else this.#idle.splice(index, 1);
    if (this.#closed) return;
    const next = this.#next();
    if (next !== undefined) this.#connect().send(next);
  }

  #next(): Http1Request | undefined {
    const next = this.#queue[this.#queueHead];
    if (next === undefined) return undefined;
    this.#queueHead++;
    if (this.#queueHead > 1024 && this.#queueHead * 2 > this.#queue.length) {
      this.#queue.splice(0, this.#queueHead);
      this.#queueHead = 0;
    }
    return next;
  }

  #finished(): void {
    if (--this.#running === 0) this.#timer.unref();
  }

  #closeIdle(): void {
    const now = performance.now();
    for (const connection of [...this.#idle]) {
      if (now > connection.idleUntil) connection.destroy(undefined);
    }
  }
}

interface ConnectionOwner {
  free(): void;
  gone(): void;
}

class Connection {
  readonly #endpoint: Endpoint;
  readonly #socket: Socket;
  readonly #maxBytes: number;
  readonly #owner: ConnectionOwner;
  #request: Http1Request | undefined;
  #reader: Http1ResponseReader;
  #connected: boolean = false;
  #ended: boolean = false;
  idleUntil = Number.POSITIVE_INFINITY;

  constructor(endpoint: Endpoint, tls: TransportOptions["tls"], maxBytes: number, owner: ConnectionOwner) {
    this.#endpoint = endpoint;
    this.#maxBytes = maxBytes;
    this.#owner = owner;
    this.#reader = new Http1ResponseReader(maxBytes);
    const socket = connectSocket(endpoint, tls, "http/1.1");
    this.#socket = socket;
    socket.unref();
    socket.once(endpoint.secure ? "secureConnect" : "connect", () => {
      this.#connected = true;
    });
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("end", () => this.#readEnd());
    socket.on("error", (error) => this.destroy(error));
    socket.on("close", () => this.destroy(undefined));
  }

  get usable(): boolean {
    return !this.#ended && performance.now() < this.idleUntil;
  }

  send(request: Http1Request): void {
    this.#request = request;
    const { head, body } = request;
    if (body === undefined) {
      this.#socket.write(`${head}\r\n`, "latin1");
      return;
    }
    const text = `${head}content-length: ${body.length}\r\n\r\n`;
    // One write for both; a large body is not copied for it.
    if (body.length <= 64 * 1024) {
      const bytes = Buffer.allocUnsafe(text.length + body.length);
      bytes.write(text, 0, "latin1");
      bytes.set(body, text.length);
      this.#socket.write(bytes);
      return;
    }
    this.#socket.cork();
    this.#socket.write(text, "latin1");
    this.#socket.write(body);
    this.#socket.uncork();
  }

  /** HTTP/1.1 has no other way to call a request back than to close its connection. */
  cancel(request: Http1Request): void {
    if (this.#request !== request) return;
    this.#request = undefined;
    this.destroy(undefined);
  }

  destroy(cause: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#socket.destroy();
    const request = this.#request;
    this.#request = undefined;
    this.#owner.gone();
    if (request === undefined) return;
    const error = !this.#connected
      ? unreachable(this.#endpoint, cause)
      : cause instanceof ConnectError
        ? cause
        : connectionLost(cause);
    request.done(error, undefined);
  }

  #read(chunk: Buffer): void {
    const request = this.#request;
    // Nobody asked: such a connection cannot be trusted.
    if (request === undefined) {
      this.destroy(undefined);
      return;
    }
    try {
      const response = this.#reader.read(chunk);
      if (response !== undefined) this.#answer(request, response);
    } catch (error) {
      this.destroy(error);
    }
  }

  #readEnd(): void {
    const response = this.#reader.end();
    if (response !== undefined && this.#request) this.#answer(this.#request, response);
    else this.destroy(undefined);
  }

  #answer(request: Http1Request, response: Http1Response): void {
    this.#request = undefined;
    if (response.keepAlive) {
      this.#reader = new Http1ResponseReader(this.#maxBytes);
      // A second earlier than the server closes it, so that no request crosses the close.
      this.idleUntil = performance.now() + Math.min(idleMs, (response.keepAliveMs ?? idleMs * 2) - 1000);
      this.#owner.free();
    } else this.destroy(undefined);
    request.done(undefined, response);
  }
}

function ignore(): void {}
