import { Code, ConnectError } from "@connectrpc/connect";
import type { TransportOptions } from "../options.js";
import { connectionLost, connectSocket, unreachable } from "./connect-socket.js";
import type { Endpoint } from "./endpoint.js";
import {
  Http1ClientConnection,
  type Http1ConnectionOwner,
  type Http1Loss,
  type Http1Request,
} from "./http1-connection.js";
import { type Http1Response, WholeResponse } from "./http1-whole-response.js";

/** A call on its way. */
export interface Http1Call {
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

/** Collects the answer of a call. */
class CallRequest extends WholeResponse implements Http1Request {
  readonly head: string;
  readonly body: Uint8Array | undefined;
  readonly isHead = false;
  readonly #call: Http1Call;
  readonly #endpoint: Endpoint;

  constructor(call: Http1Call, endpoint: Endpoint, maxBytes: number) {
    super(maxBytes);
    this.head = call.head;
    this.body = call.body;
    this.#call = call;
    this.#endpoint = endpoint;
  }

  end(): void {
    this.#call.done(undefined, this.finish());
  }

  fail({ cause, connected }: Http1Loss): void {
    const error = !connected
      ? unreachable(this.#endpoint, cause)
      : cause instanceof ConnectError
        ? cause
        : connectionLost(cause);
    this.#call.done(error, undefined);
  }
}

/** HTTP/1.1 connections for calls: a call waits while all of them are busy. */
export class Http1Pool implements Http1ConnectionOwner {
  readonly #endpoint: Endpoint;
  readonly #tls: TransportOptions["tls"];
  readonly #options: Http1PoolOptions;
  readonly #connections = new Set<Http1ClientConnection>();
  /** Those without a request, the latest used last: the others may close. */
  readonly #idle: Http1ClientConnection[] = [];
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

  /** Sends a call as soon as a connection is free. Gives what cancels it. */
  send(call: Http1Call): () => void {
    if (this.#closed) {
      call.done(new ConnectError("the transport is closed", Code.Canceled), undefined);
      return ignore;
    }
    if (this.#running++ === 0) this.#timer.ref();
    let connection = this.#idle.pop();
    while (connection !== undefined && !connection.usable) {
      connection.destroy(undefined);
      connection = this.#idle.pop();
    }
    const request = new CallRequest(call, this.#endpoint, this.#options.readMaxBytes);
    if (connection === undefined) {
      if (this.#connections.size >= this.#options.maxConnections) return this.#enqueue(request, call);
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
    for (const request of this.#queue.splice(this.#queueHead)) {
      request.fail({ cause: error, connected: true, reused: false, answered: false });
    }
    for (const connection of this.#connections) connection.destroy(error);
  }

  #enqueue(request: Http1Request, call: Http1Call): () => void {
    if (this.#queue.length - this.#queueHead >= this.#options.maxQueuedCalls) {
      this.#finished();
      const message = `all ${this.#options.maxConnections} connections are busy and ${this.#options.maxQueuedCalls} calls wait: slow down, or raise maxConnections or maxQueuedCalls`;
      call.done(new ConnectError(message, Code.ResourceExhausted), undefined);
      return ignore;
    }
    this.#queue.push(request);
    return () => {
      const index = this.#queue.indexOf(request, this.#queueHead);
      if (index !== -1) {
        this.#queue.splice(index, 1);
        this.#finished();
        return;
      }
      // Whoever took it from the queue sends it on a connection that this does not know.
      for (const connection of this.#connections) connection.cancel(request);
    };
  }

  #connect(): Http1ClientConnection {
    const socket = connectSocket(this.#endpoint, this.#tls, "http/1.1");
    const connecting = this.#endpoint.secure ? "secureConnect" : "connect";
    const connection = new Http1ClientConnection(socket, connecting, idleMs, this);
    this.#connections.add(connection);
    return connection;
  }

  /** A connection has given its answer. */
  free(connection: Http1ClientConnection): void {
    const next = this.#next();
    if (next === undefined) this.#idle.push(connection);
    else connection.send(next);
    this.#finished();
  }

  /** A connection has ended; whoever waits gets a new one. */
  gone(connection: Http1ClientConnection, idle: boolean): void {
    this.#connections.delete(connection);
    if (!idle) this.#finished();
    else if (this.#idle.includes(connection)) this.#idle.splice(this.#idle.indexOf(connection), 1);
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

function ignore(): void {}
