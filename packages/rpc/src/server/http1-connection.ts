import type { Socket } from "node:net";
import { Http1RequestHeads, isHeadPart } from "../wire/http1-request-head.js";
import {
  asksToClose,
  type BodyFraming,
  type ConnectionTerms,
  encodeHttp1Head,
  encodeHttp1Information,
  encodeHttp1Response,
} from "../wire/http1-response.js";
import type { ExchangeEnvironment } from "./exchange.js";
import { type DirectConnection, Http1DirectExchange } from "./http1-direct-exchange.js";
import { Http1Part } from "./http1-part.js";
import type { Http1Serving } from "./http1-serving.js";
import type { Watched } from "./watch.js";

/** So many bytes of further requests are kept while one is served; then the client has to wait. */
const readAheadBytes = 64 * 1024;

/** So long a client may take to end its side of a connection, in ms. */
const farewellMs = 1000;

/**
 * An HTTP/1.1 connection as long as all that comes are plain requests that are served here, one after the other: their heads are read, and their
 * answers written, at a fraction of what `node:http` takes. The first request that is anything else goes to `node:http`, and the connection with it.
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
  /** The connection ends with the answer that is being written. */
  #ends: boolean = false;
  /** What came after it. */
  #waiting: Buffer | undefined;
  /** A request that is not there as a whole. */
  readonly #part: Http1Part;
  #reading: boolean = false;
  /** The client does not take what is written. */
  #full: boolean = false;
  /** What was written last did not leave at once. */
  #unread: boolean = false;
  #draining: boolean = false;
  /** Nothing that comes is for here any more. */
  #over: boolean = false;
  readonly #heads = new Http1RequestHeads();

  constructor(socket: Socket, serving: Http1Serving) {
    this.#socket = socket;
    this.#serving = serving;
    this.#part = new Http1Part(serving.wholeWithinMs, (bytes) => void this.#handOver(bytes, 0));
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
  read(received: Buffer): void {
    this.#reading = true;
    const bytes = this.#part.join(received);
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
    if (this.gone) return;
    const bodiless = this.#exchange?.method === "HEAD" || status === 204 || status === 304;
    this.write(encodeHttp1Response(status, headers, body, this.#terms(headers, last), bodiless));
    this.finish();
  }

  inform(status: number, headers: string[]): void {
    if (!this.gone) this.write([encodeHttp1Information(status, headers)]);
  }

  begin(status: number, headers: string[], framing: BodyFraming): void {
    if (!this.gone) this.write([encodeHttp1Head(status, headers, framing, this.#terms(headers, false))]);
  }

  write(parts: readonly (string | Uint8Array)[]): boolean {
    const socket = this.#socket;
    if (this.gone) return true;
    if (parts.length > 1) socket.cork();
    for (const part of parts) {
      if (typeof part === "string") this.#full = !socket.write(part, "latin1");
      else this.#full = !socket.write(part);
    }
    if (parts.length > 1) socket.uncork();
    if (this.#full) {
      this.#unread = true;
      this.environment.watch.add(this, this.environment.writeTimeoutMs);
    }
    return !this.#full;
  }

  finish(): void {
    const { watch, writeTimeoutMs, bodyTimeoutMs } = this.environment;
    // Bytes that the kernel did not take wait for the client to read.
    this.#unread = this.#socket.writableLength > 0;
    this.#answered = this.#missing > 0;
    if (!this.#answered) this.#exchange = undefined;
    watch.add(this, this.#unread ? writeTimeoutMs : this.#answered ? bodyTimeoutMs : this.#serving.keepAliveMs);
    if (this.#ends || this.#draining) this.#end();
    else if (!this.#reading) this.#goOn();
  }

  breakOff(): void {
    this.#socket.destroy();
  }

  /** Ends the connection at once when it is idle, or with its next answer. */
  drain(): void {
    this.#draining = true;
    if (!this.#isIdle) return;
    const { farewell } = this.#serving;
    if (farewell === undefined || this.gone) this.#end();
    else {
      // What the client may be sending is still taken, for a moment: were it refused, the farewell could be lost.
      this.#over = true;
      this.#socket.end(farewell, "latin1");
      this.environment.watch.add(this, farewellMs);
    }
  }

  expire(): void {
    const { watch } = this.environment;
    const busy = this.#exchange !== undefined && !this.#answered && !this.#full;
    const taken = this.#unread && this.#socket.writableLength === 0 && !this.#answered;
    if (busy || taken) {
      this.#unread = false;
      watch.add(this, this.#serving.keepAliveMs);
    } else if (this.#serving.farewell !== undefined && this.#isIdle && !this.#unread) this.drain();
    else this.#socket.destroy();
  }

  get #isIdle(): boolean {
    return this.#exchange === undefined && this.#waiting === undefined && !this.#part.isThere && !this.#over;
  }

  #terms(headers: readonly string[], last: boolean): ConnectionTerms {
    this.#ends = last || this.#draining || asksToClose(headers);
    return { last: this.#ends, keepAliveSeconds: this.#serving.keepAliveMs / 1000 };
  }

  /** Reads the head at the offset and has its request served; gives the offset after what it took. */
  #begin(bytes: Buffer, offset: number): number {
    const { maxHeaderBytes, wholeWithinMs } = this.#serving;
    const head = this.#heads.read(bytes, offset, maxHeaderBytes);
    if (head === undefined) {
      // Where a connection may be handed over that is done at once: the other way waits as well.
      const waits = wholeWithinMs === undefined && isHeadPart(bytes, offset, maxHeaderBytes);
      return waits && this.#serving.needsWhole !== undefined
        ? this.#await(bytes, offset)
        : this.#handOver(bytes, offset);
    }
    const bodyStart = offset + head.length;
    const bodyEnd = Math.min(bodyStart + head.contentLength, bytes.length);
    const missing = bodyStart + head.contentLength - bodyEnd;
    if (missing > 0 && this.#serving.needsWhole?.(head)) {
      return head.contentLength > readAheadBytes ? this.#handOver(bytes, offset) : this.#await(bytes, offset);
    }
    this.#part.drop();
    const exchange = new Http1DirectExchange(this, head, bytes.subarray(bodyStart, bodyEnd));
    this.#exchange = exchange;
    this.#missing = missing;
    if (this.#serving.serve(exchange)) return bodyEnd;
    this.#exchange = undefined;
    this.#missing = 0;
    return this.#handOver(bytes, offset);
  }

  #await(bytes: Buffer, offset: number): number {
    if (this.#part.keep(bytes.subarray(offset))) {
      this.environment.watch.add(this, this.#serving.headersTimeoutMs);
    }
    return bytes.length;
  }

  #receive(bytes: Buffer, offset: number): number {
    const end = Math.min(offset + this.#missing, bytes.length);
    this.#missing -= end - offset;
    if (this.#answered) {
      if (this.#missing === 0) {
        this.#answered = false;
        this.#exchange = undefined;
        this.environment.watch.add(this, this.#serving.keepAliveMs);
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
    this.#forget();
    socket.off("data", this.#onData);
    socket.off("drain", this.#onDrain);
    socket.off("end", this.#onEnd);
    socket.off("error", ignore);
    socket.off("close", this.#onClose);
  }

  #forget(): void {
    this.#over = true;
    this.#part.drop();
    this.environment.watch.delete(this);
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
    else this.#exchange.drained();
  };

  /** As with `node:http`, a client that ends while its call is served has given it up. */
  readonly #onEnd = (): void => {
    this.#over = true;
    this.#part.drop();
    this.#exchange?.lose();
    this.#socket.end();
  };

  readonly #onClose = (): void => {
    this.#forget();
    this.#exchange?.lose();
  };
}

function ignore(): void {}
