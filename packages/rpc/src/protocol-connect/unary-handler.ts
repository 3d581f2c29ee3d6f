import type { Message } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import type { ConnectError } from "@connectrpc/connect";
import { mergeNonProtocolHeaders } from "@connectrpc/connect/protocol";
import { codeToHttpStatus, errorToJsonBytes, parseTimeout } from "@connectrpc/connect/protocol-connect";
import type { CallContext } from "../call/context.js";
import { invokeUnary, isPromise } from "../call/invoke.js";
import type { RequestHead } from "../options.js";
import type { Exchange } from "../server/exchange.js";
import { createCallContext, type ServedRoute, type Service, toSentError } from "../server/service.js";
import { type Compression, type Negotiated, negotiate } from "../wire/compression.js";
import { type GetRequest, readGetRequest } from "./get-request.js";

const proto = "application/proto";
const json = "application/json";

/** How a request's message is written, or undefined when this is not a Connect unary request of that method. */
export function matchConnectUnary(
  route: ServedRoute,
  exchange: Pick<RequestHead, "method" | "header">,
): "binary" | "json" | "get" | undefined {
  if (route.method.methodKind !== "unary") return undefined;
  const type = exchange.header("content-type");
  if (exchange.method === "POST") {
    if (type === proto) return "binary";
    if (type === json) return "json";
    if (type === undefined || !/^application\/(?:json(?:; ?charset=utf-?8)?|proto)$/i.test(type)) return undefined;
    return /^application\/proto$/i.test(type) ? "binary" : "json";
  }
  const readable = route.method.idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS;
  return exchange.method === "GET" && readable && type === undefined ? "get" : undefined;
}

/** Serves one unary call of the Connect protocol. */
export function handleConnectUnary(
  service: Service,
  route: ServedRoute,
  exchange: Exchange,
  format: "binary" | "json" | "get",
): boolean {
  const get = format === "get" ? readGetRequest(exchange.url) : undefined;
  if (format === "get" && get === undefined) return false;
  const call = new UnaryCall(service, route, exchange, get ? get.binary : format === "binary", get);
  call.start();
  return true;
}

class UnaryCall {
  readonly #service: Service;
  readonly #route: ServedRoute;
  readonly #exchange: Exchange;
  readonly #binary: boolean;
  readonly #get: GetRequest | undefined;
  readonly #context: CallContext;
  readonly #compression: Negotiated;
  readonly #early: ConnectError | undefined;

  constructor(service: Service, route: ServedRoute, exchange: Exchange, binary: boolean, get: GetRequest | undefined) {
    this.#service = service;
    this.#route = route;
    this.#exchange = exchange;
    this.#binary = binary;
    this.#get = get;
    const timeoutHeader = exchange.header("connect-timeout-ms");
    const timeout = timeoutHeader === undefined ? undefined : parseTimeout(timeoutHeader, service.limits.maxTimeoutMs);
    const requested = get ? get.compression : exchange.header("content-encoding");
    this.#compression = negotiate(requested, exchange.header("accept-encoding"), "Accept-Encoding");
    this.#early = this.#compression.error ?? timeout?.error;
    this.#context = createCallContext(service, route, exchange, "connect", timeout?.timeoutMs);
  }

  start(): void {
    const get = this.#get;
    if (this.#early) this.#fail(this.#early);
    else if (get) this.#then(() => get.message(), this.#decode);
    else
      this.#exchange.readBody(this.#service.limits.readMaxBytes, (error, body) => {
        if (error) this.#fail(error);
        else this.#decode(body);
      });
  }

  readonly #decode = (body: Uint8Array): void => {
    const { request } = this.#compression;
    if (request === undefined) this.#invoke(body);
    else this.#then(() => request.decompress(body, this.#service.limits.readMaxBytes), this.#invoke);
  };

  readonly #invoke = (body: Uint8Array): void => {
    const { input, spec } = this.#route;
    this.#then(() => {
      const message = (this.#binary ? input.binary : input.json).parse(body);
      return invokeUnary(spec, this.#context, message, this.#service.interceptors);
    }, this.#answer);
  };

  readonly #answer = (output: Message): void => {
    const codec = this.#binary ? this.#route.output.binary : this.#route.output.json;
    let body: Uint8Array;
    try {
      body = codec.serialize(output);
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#end();
    const type = this.#binary ? proto : json;
    const { setHeader, setTrailer } = this.#context;
    if (setHeader === undefined && setTrailer === undefined) this.#send(200, ["content-type", type], body);
    else {
      const headers: string[] = [];
      if (!setHeader?.has("content-type")) headers.push("content-type", type);
      this.#send(200, this.#withMetadata(headers, setHeader), body);
    }
  };

  readonly #fail = (reason: unknown): void => {
    this.#end(reason);
    const error = toSentError(reason, this.#service);
    const header = new Headers(this.#context.setHeader);
    header.set("content-type", json);
    // An error from another server is passed on without what that server's protocol said.
    if (!error.isWireError) mergeNonProtocolHeaders(header, error.metadata);
    const body = errorToJsonBytes(error, this.#service.jsonOptions);
    this.#send(codeToHttpStatus(error.code), this.#withMetadata([], header), body);
  };

  /** In unary calls, trailers travel as headers with a prefix. */
  #withMetadata(list: string[], header: Headers | undefined): string[] {
    header?.forEach((value, name) => {
      list.push(name, value);
    });
    this.#context.setTrailer?.forEach((value, name) => {
      list.push(`trailer-${name}`, value);
    });
    return list;
  }

  #send(status: number, headers: string[], body: Uint8Array): void {
    const { response } = this.#compression;
    if (response && body.length >= this.#service.compressMinBytes) {
      headers.push("content-encoding", response.name);
      this.#sendCompressed(response, status, headers, body);
      return;
    }
    headers.push("content-length", String(body.length));
    this.#exchange.respond(status, headers, body);
  }

  #sendCompressed(compression: Compression, status: number, headers: string[], body: Uint8Array): void {
    const send = (compressed: Uint8Array) => {
      headers.push("content-length", String(compressed.length));
      this.#exchange.respond(status, headers, compressed);
    };
    const compressed = compression.compress(body);
    if (isPromise(compressed)) void (compressed as Promise<Uint8Array>).then(send);
    else send(compressed);
  }

  #end(reason?: unknown): void {
    this.#context.abort(reason);
    this.#service.signalled.delete(this.#context);
  }

  /** Goes on with a result, in this turn if it is there already. */
  #then<T>(make: () => T | Promise<T>, next: (result: T) => void): void {
    try {
      const result = make();
      if (isPromise(result)) (result as Promise<T>).then(next, this.#fail);
      else next(result as T);
    } catch (error) {
      this.#fail(error);
    }
  }
}
