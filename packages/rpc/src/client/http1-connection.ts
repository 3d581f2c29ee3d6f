import type { Socket } from "node:net";
import { encodeHttp1Request } from "../wire/http1-request.js";
import { LastRead } from "../wire/last-read.js";
import { type Http1ResponseHead, Http1ResponseReader, type Http1ResponseSink } from "./http1-response.js";

/** A request on its way. */
export interface Http1Request extends Http1ResponseSink {
  /** The request line and all headers but the length, each line ended. */
  readonly head: string;
  readonly body: Uint8Array | undefined;
  /** Whether it is a HEAD. */
  readonly isHead: boolean;
  /** More of the response is to come than came at once. */
  partial?(): void;
  /** The response is whole; trailers are names and values in turn. The connection may have another request by now. */
  end(trailers: readonly string[]): void;
  /** There is no response, or no rest of it. */
  fail(loss: Http1Loss): void;
}

/** Why there is no response. */
export interface Http1Loss {
  readonly cause: unknown;
  /** Whether there was a connection at all. */
  readonly connected: boolean;
  /** Whether the connection has carried other requests before. */
  readonly reused: boolean;
  /** Whether anything has come back for this one. */
  readonly answered: boolean;
}

/** Who keeps connections. */
export interface Http1ConnectionOwner {
  /** It takes another request. */
  free(connection: Http1ClientConnection): void;
  /** It has ended; `idle` if it had no request. */
  gone(connection: Http1ClientConnection, idle: boolean): void;
}

/** A connection to an HTTP/1.1 server that is kept alive, with one request at a time on it. Requests are written by hand: one string, one write. */
export class Http1ClientConnection {
  readonly #socket: Socket;
  readonly #owner: Http1ConnectionOwner;
  readonly #idleMs: number;
  #request: Http1Request | undefined;
  #reader: Http1ResponseReader | undefined;
  readonly #lastHead = new LastRead<Http1ResponseHead>();
  #connected: boolean;
  #reused: boolean = false;
  #answered: boolean = false;
  #paused: boolean = false;
  #ended: boolean = false;
  /** Until when it may be used. */
  idleUntil = Number.POSITIVE_INFINITY;

  /** @param connecting the event that tells that the socket is connected; undefined if it is */
  constructor(socket: Socket, connecting: string | undefined, idleMs: number, owner: Http1ConnectionOwner) {
    this.#owner = owner;
    this.#idleMs = idleMs;
    this.#socket = socket;
    this.#connected = connecting === undefined;
    socket.unref();
    if (connecting === undefined) this.idleUntil = performance.now() + idleMs;
    else {
      socket.once(connecting, () => {
        this.#connected = true;
      });
    }
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
    this.#answered = false;
    this.#reader = new Http1ResponseReader(request, request.isHead, this.#lastHead);
    const buffers = encodeHttp1Request(request.head, request.body);
    if (buffers.length > 1) this.#socket.cork();
    for (const buffer of buffers) this.#socket.write(buffer);
    if (buffers.length > 1) this.#socket.uncork();
  }

  /** HTTP/1.1 has no other way to call a request back than to close its connection. */
  cancel(request: Http1Request): void {
    if (this.#request !== request) return;
    this.#request = undefined;
    this.#end();
    this.#owner.gone(this, false);
  }

  /** The response of this request is not wanted for now. */
  pause(request: Http1Request): void {
    if (this.#request !== request || this.#paused) return;
    this.#paused = true;
    this.#socket.pause();
  }

  resume(request: Http1Request): void {
    if (this.#request === request) this.#resume();
  }

  destroy(cause: unknown): void {
    if (this.#ended) return;
    this.#end();
    const request = this.#request;
    this.#request = undefined;
    this.#owner.gone(this, request === undefined);
    request?.fail({ cause, connected: this.#connected, reused: this.#reused, answered: this.#answered });
  }

  #end(): void {
    this.#ended = true;
    this.#socket.destroy();
  }

  #resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#socket.resume();
  }

  #read(chunk: Buffer): void {
    const request = this.#request;
    const reader = this.#reader;
    // Nobody asked: such a connection cannot be trusted.
    if (request === undefined || reader === undefined) {
      this.destroy(undefined);
      return;
    }
    this.#answered = true;
    try {
      if (reader.read(chunk)) this.#finish(request, reader);
      else if (this.#request === request) request.partial?.();
    } catch (error) {
      this.destroy(error);
    }
  }

  #readEnd(): void {
    if (this.#request !== undefined && this.#reader?.end() === true) this.#finish(this.#request, this.#reader);
    else this.destroy(undefined);
  }

  #finish(request: Http1Request, reader: Http1ResponseReader): void {
    // It was called back while it was read.
    if (this.#request !== request) return;
    this.#request = undefined;
    this.#reader = undefined;
    this.#reused = true;
    this.#resume();
    if (reader.keepAlive) {
      // A second earlier than the server closes it, so that no request crosses the close.
      this.idleUntil = performance.now() + Math.min(this.#idleMs, (reader.keepAliveMs ?? this.#idleMs * 2) - 1000);
      this.#owner.free(this);
    } else {
      this.#end();
      this.#owner.gone(this, false);
    }
    request.end(reader.trailers);
  }
}
