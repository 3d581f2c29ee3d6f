import type { IncomingMessage, ServerResponse } from "node:http";
import { Code, ConnectError } from "@connectrpc/connect";
import { toRequestHeaders } from "../call/lazy-headers.js";
import { readLimitError } from "../wire/limits.js";
import { BodyCollector, bodyTimedOut, empty } from "./body-collector.js";
import { type Exchange, type ExchangeEnvironment, joinHeader, toUrl } from "./exchange.js";
import type { Watched } from "./watch.js";

/** Above this, copying costs more than a second write. */
const oneWriteBytes = 16 * 1024;

/** An exchange over HTTP/1.1. */
export class Http1Exchange implements Exchange, Watched {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #environment: ExchangeEnvironment;
  watchedUntil = 0;
  bagPlace = -1;
  #timedOut: (() => void) | undefined;

  constructor(request: IncomingMessage, response: ServerResponse, environment: ExchangeEnvironment) {
    this.#request = request;
    this.#response = response;
    this.#environment = environment;
  }

  get method(): string {
    return this.#request.method ?? "";
  }

  get url(): string {
    return this.#request.url ?? "";
  }

  get remoteAddress(): string | undefined {
    return this.#request.socket.remoteAddress;
  }

  header(name: string): string | undefined {
    return joinHeader(this.#request.headers[name]);
  }

  headers(): Headers {
    return toRequestHeaders(this.#request.headers);
  }

  absoluteUrl(): string {
    return toUrl(this.#environment.secure, this.header("host"), this.url);
  }

  readBody(maxBytes: number, done: (error: ConnectError | undefined, body: Uint8Array) => void): void {
    const request = this.#request;
    const declared = request.headers["content-length"];
    if (declared !== undefined && Number(declared) > maxBytes) {
      request.resume();
      done(readLimitError(maxBytes, Number(declared)), empty);
      return;
    }
    const body = new BodyCollector(maxBytes);
    const { watch, bodyTimeoutMs } = this.#environment;
    const finish = (error: ConnectError | undefined) => {
      watch.delete(this);
      request.off("data", onData);
      request.off("end", onEnd);
      request.off("error", onError);
      if (error === undefined) done(undefined, body.finish());
      else {
        request.resume();
        done(error, empty);
      }
    };
    const onData = (chunk: Uint8Array) => {
      if (body.add(chunk)) finish(readLimitError(maxBytes));
    };
    const onEnd = () => finish(undefined);
    const onError = () => finish(new ConnectError("the client went away", Code.Canceled));
    request.on("data", onData);
    request.on("end", onEnd);
    request.on("error", onError);
    this.#timedOut = () => {
      this.#response.shouldKeepAlive = false;
      finish(bodyTimedOut());
    };
    watch.add(this, bodyTimeoutMs);
  }

  respond(status: number, headers: string[], body: Uint8Array): void {
    const response = this.#response;
    if (response.destroyed) return;
    response.writeHead(status, headers);
    // Node writes a string together with the head, and bytes beside it: one write costs 10 % less of a small call than two.
    if (body.length <= oneWriteBytes) response.end(toBuffer(body).toString("latin1"), "latin1");
    else response.end(body);
    const { socket } = response;
    // Bytes that the kernel did not take wait for the client to read.
    if (socket && socket.writableLength > 0) {
      this.#timedOut = () => socket.destroy();
      const { watch, writeTimeoutMs } = this.#environment;
      watch.add(this, writeTimeoutMs);
      response.once("close", () => watch.delete(this));
    }
  }

  onGone(gone: (reason: ConnectError) => void): void {
    const response = this.#response;
    const onClose = () => {
      if (!response.writableFinished) gone(new ConnectError("the client went away", Code.Canceled));
    };
    if (response.destroyed) onClose();
    else response.once("close", onClose);
  }

  expire(): void {
    this.#timedOut?.();
  }
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
