import type { IncomingHttpHeaders } from "node:http";
import type { Socket } from "node:net";
import { AnsweredRequest, type AnswerReader, type WholeRequest } from "./http1-answer.js";
import { Http1ClientConnection, type Http1ConnectionOwner } from "./http1-connection.js";

/** Options of {@link createHttp1Client}. */
export interface Http1ClientOptions<Made = IncomingHttpHeaders> {
  /** What readers get in the place of an answer's headers: made once for answers that repeat one another. Default: the headers, as Node gives them. */
  readonly fromHeaders?: (headers: IncomingHttpHeaders) => Made;
  /** Opens a connection when none is free. Default: requests go on those that were added, or not at all. */
  readonly connect?: () => Socket;
  /** How many connections are kept that nobody uses. Default 256. */
  readonly maxIdle?: number;
  /** How long one of them is kept, in ms. Default 30 000. */
  readonly idleMs?: number;
  /** Called when a connection has become free for another request, before whoever waits for the answer on it is told. */
  readonly onFree?: () => void;
}

/** Sends requests that are whole to one server, over HTTP/1.1 connections that are kept. */
export interface Http1Client<Made = IncomingHttpHeaders> {
  /** How many connections there are. */
  readonly size: number;
  /** When the last answer came, or an idle connection was looked for, by `performance.now()`. */
  readonly usedAt: number;
  /** Sends a request, and gives what cancels it; undefined if no connection is free, and none is to be opened. Throws if it cannot be written. */
  send(request: WholeRequest, reader: AnswerReader<Made>): (() => void) | undefined;
  /** Takes a connection in, which is open and idle. */
  add(socket: Socket): void;
  /** Sends nothing more; resolves when what is under way is over. */
  retire(): Promise<void>;
  /** Ends what is still open. */
  destroy(): void;
}

/** Makes a client. */
export function createHttp1Client<Made = IncomingHttpHeaders>(
  options: Http1ClientOptions<Made> = {},
): Http1Client<Made> {
  return new KeptConnections(options);
}

class KeptConnections<Made> implements Http1Client<Made>, Http1ConnectionOwner {
  readonly #fromHeaders: (headers: IncomingHttpHeaders) => Made;
  readonly #connect: (() => Socket) | undefined;
  readonly #maxIdle: number;
  readonly #idleMs: number;
  readonly #onFree: (() => void) | undefined;
  /** Few, and long-lived. */
  readonly #all = new Set<Http1ClientConnection>();
  /** The latest used last: the others may close. */
  readonly #idle: Http1ClientConnection[] = [];
  #timer: NodeJS.Timeout | undefined;
  #isRetired: boolean = false;
  readonly #emptied = Promise.withResolvers<void>();
  usedAt = performance.now();

  constructor({ connect, maxIdle = 256, idleMs = 30_000, fromHeaders, onFree }: Http1ClientOptions<Made>) {
    this.#fromHeaders = fromHeaders ?? ((headers) => headers as Made);
    this.#connect = connect;
    this.#maxIdle = maxIdle;
    this.#idleMs = idleMs;
    this.#onFree = onFree;
  }

  get size(): number {
    return this.#all.size;
  }

  send(request: WholeRequest, reader: AnswerReader<Made>): (() => void) | undefined {
    if (this.#isRetired) return undefined;
    const connection = this.#takeIdle() ?? this.#open();
    if (connection === undefined) return undefined;
    const again = () => {
      const fresh = this.#isRetired ? undefined : this.#open();
      if (fresh !== undefined) this.#sendOn(fresh, sent);
      return fresh !== undefined;
    };
    let sent: AnsweredRequest<Made>;
    try {
      sent = new AnsweredRequest(request, reader, this.#fromHeaders, once(again));
    } catch (error) {
      this.free(connection);
      throw error;
    }
    this.#sendOn(connection, sent);
    return () => sent.cancel();
  }

  add(socket: Socket): void {
    if (this.#isRetired) socket.destroy();
    else this.free(this.#keep(socket, undefined));
  }

  async retire(): Promise<void> {
    this.#isRetired = true;
    for (const connection of this.#idle.splice(0)) connection.destroy(undefined);
    this.#checkEmpty();
    await this.#emptied.promise;
  }

  destroy(): void {
    this.#isRetired = true;
    for (const connection of [...this.#all]) connection.destroy(undefined);
    this.#checkEmpty();
  }

  free(connection: Http1ClientConnection): void {
    this.usedAt = performance.now();
    if (this.#isRetired || this.#idle.length >= this.#maxIdle) {
      connection.destroy(undefined);
      return;
    }
    this.#idle.push(connection);
    this.#timer ??= setInterval(() => this.#closeIdle(), Math.min(this.#idleMs / 4, 10_000)).unref();
    this.#onFree?.();
  }

  gone(connection: Http1ClientConnection): void {
    this.#all.delete(connection);
    const index = this.#idle.indexOf(connection);
    if (index !== -1) this.#idle.splice(index, 1);
    this.#checkEmpty();
  }

  #sendOn(connection: Http1ClientConnection, request: AnsweredRequest<Made>): void {
    request.connection = connection;
    connection.send(request);
  }

  #takeIdle(): Http1ClientConnection | undefined {
    for (;;) {
      const connection = this.#idle.pop();
      if (connection === undefined || connection.usable) return connection;
      connection.destroy(undefined);
    }
  }

  #open(): Http1ClientConnection | undefined {
    return this.#connect === undefined ? undefined : this.#keep(this.#connect(), "connect");
  }

  #keep(socket: Socket, connecting: string | undefined): Http1ClientConnection {
    const connection = new Http1ClientConnection(socket, connecting, this.#idleMs, this);
    this.#all.add(connection);
    return connection;
  }

  #closeIdle(): void {
    for (const connection of [...this.#idle]) if (!connection.usable) connection.destroy(undefined);
    this.#checkEmpty();
  }

  #checkEmpty(): void {
    if (this.#all.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (this.#isRetired) this.#emptied.resolve();
  }
}

function once(act: () => boolean): () => boolean {
  let done = false;
  return () => {
    if (done) return false;
    done = true;
    return act();
  };
}
