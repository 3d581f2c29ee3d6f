import type { Socket } from "node:net";
import { type Http1RequestHead, readHttp1RequestHead } from "../wire/http1-request-head.js";
import { encodeHttp1Response } from "../wire/http1-response.js";
import type { ExchangeEnvironment } from "./exchange.js";
import { type DirectConnection, Http1DirectExchange } from "./http1-direct-exchange.js";
import type { Watched } from "./watch.js";

/** How connections are served. */
export interface Http1Serving {
  readonly environment: ExchangeEnvironment;
  /** The largest head, in bytes. */
  readonly maxHeaderBytes: number;
  /** How long a client may take to begin, in ms. */
  readonly headersTimeoutMs: number;
  /** How long a connection may be idle after an answer, in ms. */
  readonly keepAliveMs: number;
  /** Serves a request, or says that it is not for here before anything has happened to it. */
  serve(exchange: Http1DirectExchange): boolean;
  /** Takes a connection over, for good. What was read of the request at hand has been put back. */
  handOver(socket: Socket): void;
  /** Told when a connection has ended or is handed over. */
  left(connection: Http1Connection): void;
}

/** So many bytes of further requests are kept while one is served; then the client has to wait. */
const readAheadBytes = 64 * 1024;

/**
 * An HTTP/1.1 connection as long as all that comes are plain calls of routes, one after the other: their heads are read, and their answers written,
 * at a fraction of what `node:http` takes. The first request that is anything else goes to `node:http`, and the connection with it.
 */
export class Http1Connection implements DirectConnection, Watched {
  readonly #socket: Socket;
  readonly #serving: Http1Serving;
  watchedUntil = 0;
  bagPlace = -1;
  /** The request that is read or served. */
  #exchange: Http1DirectExchange | undefined;
  /** So many bytes of its body have not come yet. */
  #missing = 0;
  /** It has its answer already; what is missing will be dropped. */
  #answered: boolean = false;
  /** What came after it. */
  #waiting: Buffer | undefined;
  #reading: boolean = false;
  /** The client does not take what is written. */
  #full: boolean = false;
  /** The last answer did not leave at once. */
  #unread: boolean = false;
  #draining: boolean = false;
  /** Nothing that comes is for here any more. */
  #over: boolean = false;
  /** The head that came last, and its bytes: a client mostly repeats it. */
  #known: { readonly bytes: Buffer; readonly head: Http1RequestHead } | undefined;

  constructor(socket: Socket, serving: Http1Serving) {
    this.#socket = socket;
    this.#serving = serving;
    socket.on("data", this.#onData);
    socket.on("drain", this.#onDrain);
    socket.on("end", this.#onEnd);
    socket.on("error", ignore);
    socket.on("close", this.#onClose);
    serving.environment.watch.add(this, serving.headersTimeoutMs);
  }

  get environment(): ExchangeEnvironment {
    return this.#serving.environment;
  }

  get remoteAddress(): string | undefined {
    return this.#socket.remoteAddress;
  }

  get gone(): boolean {
    return this.#socket.destroyed || this.#socket.writableEnded;
  }

  /** Reads what comes, from the connection's first bytes on. */
  read(bytes: Buffer): void {
    this.#reading = true;
    let offset = 0;
    while (offset < bytes.length && !this.#over) {
      if (this.#missing > 0) offset = this.#receive(bytes, offset);
      else if (this.#exchange === undefined && !this.#full) offset = this.#begin(bytes, offset);
      else {
        this.#keep(offset === 0 ? bytes : bytes.subarray(offset));
        break;
      }
    }
    this.#reading = false;
  }

  answer(status: number, headers: string[], body: Uint8Array, last: boolean): void {
    const socket = this.#socket;
    if (this.gone) return;
    const { watch, writeTimeoutMs } = this.#serving.environment;
    const { keepAliveMs } = this.#serving;
    const ends = last || this.#draining || asksToClose(headers);
    const buffers = encodeHttp1Response(status, headers, body, { last: ends, keepAliveSeconds: keepAliveMs / 1000 });
    if (buffers.length > 1) socket.cork();
    for (const buffer of buffers) this.#full = !socket.write(buffer);
    if (buffers.length > 1) socket.uncork();
    // Bytes that the kernel did not take wait for the client to read.
    this.#unread = socket.writableLength > 0;
    this.#answered = this.#missing > 0;
    if (!this.#answered) this.#exchange = undefined;
    watch.add(this, this.#unread ? writeTimeoutMs : this.#answered ? this.environment.bodyTimeoutMs : keepAliveMs);
    if (ends) this.#end();
    else if (!this.#reading) this.#goOn();
  }

  /** Ends the connection at once when it is idle, or with its next answer. */
  drain(): void {
    this.#draining = true;
    if (this.#exchange === undefined && this.#waiting === undefined) this.#end();
  }

  expire(): void {
    const { watch } = this.#serving.environment;
    const busy = this.#exchange !== undefined && !this.#answered;
    const taken = this.#unread && this.#socket.writableLength === 0 && !this.#answered;
    if (busy || taken) {
      this.#unread = false;
      watch.add(this, this.#serving.keepAliveMs);
    } else this.#socket.destroy();
  }

  /** Reads the head at the offset and has its request served; gives the offset after what it took. */
  #begin(bytes: Buffer, offset: number): number {
    const head = this.#readHead(bytes, offset);
    if (head === undefined) return this.#handOver(bytes, offset);
    const bodyStart = offset + head.length;
    const bodyEnd = Math.min(bodyStart + head.contentLength, bytes.length);
    const exchange = new Http1DirectExchange(this, head, bytes.subarray(bodyStart, bodyEnd));
    this.#exchange = exchange;
    this.#missing = bodyStart + head.contentLength - bodyEnd;
    if (this.#serving.serve(exchange)) return bodyEnd;
    this.#exchange = undefined;
    this.#missing = 0;
    return this.#handOver(bytes, offset);
  }

  #readHead(bytes: Buffer, offset: number): Http1RequestHead | undefined {
    const known = this.#known;
    if (known) {
      const end = offset + known.head.length;
      if (end <= bytes.length && bytes.compare(known.bytes, 0, known.bytes.length, offset, end) === 0)
        return known.head;
    }
    const head = readHttp1RequestHead(bytes, offset, this.#serving.maxHeaderBytes);
    // A copy: a view would keep all that came with it.
    if (head) this.#known = { bytes: Buffer.from(bytes.subarray(offset, offset + head.length)), head };
    return head;
  }

  #receive(bytes: Buffer, offset: number): number {
    const end = Math.min(offset + this.#missing, bytes.length);
    this.#missing -= end - offset;
    if (this.#answered) {
      if (this.#missing === 0) {
        this.#answered = false;
        this.#exchange = undefined;
        this.#serving.environment.watch.add(this, this.#serving.keepAliveMs);
        if (this.#draining) this.#end();
      }
    } else this.#exchange?.receive(bytes.subarray(offset, end), this.#missing === 0);
    return end;
  }

  #keep(bytes: Buffer): void {
    this.#waiting = this.#waiting === undefined ? bytes : Buffer.concat([this.#waiting, bytes]);
    if (this.#waiting.length >= readAheadBytes) this.#socket.pause();
  }

  #goOn(): void {
    const waiting = this.#waiting;
    if (waiting === undefined || this.#full) return;
    this.#waiting = undefined;
    this.read(waiting);
    if (!this.#over && this.#waiting === undefined) this.#socket.resume();
  }

  /** Ends the connection when what was written has left. */
  #end(): void {
    this.#over = true;
    this.#socket.destroySoon();
  }

  /** Puts the bytes back for `node:http`, and forgets the connection. */
  #handOver(bytes: Buffer, offset: number): number {
    const socket = this.#socket;
    this.#leave();
    // What was put back is read only when the one who takes over listens.
    socket.pause();
    socket.unshift(bytes.subarray(offset));
    this.#serving.handOver(socket);
    socket.resume();
    return bytes.length;
  }

  #leave(): void {
    const socket = this.#socket;
    this.#over = true;
    this.#serving.environment.watch.delete(this);
    socket.off("data", this.#onData);
    socket.off("drain", this.#onDrain);
    socket.off("end", this.#onEnd);
    socket.off("error", ignore);
    socket.off("close", this.#onClose);
    this.#serving.left(this);
  }

  readonly #onData = (bytes: Buffer): void => {
    if (this.#over) return;
    if (this.#waiting === undefined) this.read(bytes);
    else this.#keep(bytes);
  };

  readonly #onDrain = (): void => {
    this.#full = false;
    if (this.#exchange === undefined) this.#goOn();
  };

  /** As with `node:http`, a client that ends while its call is served has given it up. */
  readonly #onEnd = (): void => {
    this.#over = true;
    this.#exchange?.lose();
    this.#socket.end();
  };

  readonly #onClose = (): void => {
    this.#over = true;
    this.#serving.environment.watch.delete(this);
    this.#serving.left(this);
    this.#exchange?.lose();
  };
}

/** A handler may set the header, as with `node:http`. */
function asksToClose(headers: readonly string[]): boolean {
  // Most answers have two headers.
  if (headers.length <= 4) return false;
  const index = headers.indexOf("connection");
  return index !== -1 && index % 2 === 0 && /\bclose\b/i.test(headers[index + 1] ?? "");
}

function ignore(): void {}
