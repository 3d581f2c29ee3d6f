import { type IncomingMessage, ServerResponse } from "node:http";
import * as http2 from "node:http2";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { Code, ConnectError } from "@connectrpc/connect";
import type { FallbackHandler, ProxyHandler, ServeOptions } from "../options.js";
import { handleConnectUnary, matchConnectUnary } from "../protocol-connect/unary-handler.js";
import { type GrpcType, matchGrpc } from "../protocol-grpc/call.js";
import { GrpcStreamCall } from "../protocol-grpc/stream-handler.js";
import { GrpcUnaryCall } from "../protocol-grpc/unary-handler.js";
import type { Http1RequestHead } from "../wire/http1-request-head.js";
import type { Http2RequestHead } from "../wire/http2-request-head.js";
import type { Delegate } from "./delegate.js";
import {
  type Exchange,
  type ExchangeEnvironment,
  type GrpcExchange,
  joinHeader,
  type StreamExchange,
} from "./exchange.js";
import { limitBody, limitReader, refusalOfLength } from "./handed-limits.js";
import type { Http1DirectExchange } from "./http1-direct-exchange.js";
import { Http1Exchange } from "./http1-exchange.js";
import { DirectWholeExchange, maxWholeBytes } from "./http1-whole-exchange.js";
import type { Http2DirectExchange } from "./http2-direct-exchange.js";
import { Http2Exchange } from "./http2-exchange.js";
import { encodeRefusal } from "./refuse.js";
import { type ServedRoute, type Service, toSentError } from "./service.js";

/** Sends each request the shortest way: refused, served directly, or handed to what serves everything else. */
export interface Dispatcher {
  /** Whether a request over HTTP/1.1 is served only when all of its body is there. */
  needsWhole(head: Http1RequestHead): boolean;
  /** A plain call over HTTP/1.1; says whether it is served, and if not, nothing has happened to it. */
  onCall(exchange: Http1DirectExchange): boolean;
  /** The same over HTTP/2. */
  onHttp2Call(exchange: Http2DirectExchange): boolean;
  /** Whether a request over HTTP/2 is a plain call. */
  isHttp2Call(head: Http2RequestHead): boolean;
  onRequest(request: IncomingMessage, response: ServerResponse): void;
  onStream(stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders, flags: number, raw: string[]): void;
  /** A request that waits for a word before it sends its body. */
  onCheckContinue(request: IncomingMessage, response: ServerResponse): void;
  /** A request to change protocols. */
  onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
}

/** What a dispatcher needs. */
export interface DispatchOptions {
  readonly service: Service;
  /** The routes by path; undefined stands for one that only the delegate can serve. */
  readonly routes: ReadonlyMap<string, ServedRoute | undefined>;
  readonly environment: ExchangeEnvironment;
  readonly guard: ServeOptions["guard"];
  readonly delegate: Delegate;
  readonly proxy: ProxyHandler | undefined;
  readonly fallback: FallbackHandler;
  /** Marks answers for web pages, and says whether it answered the request itself. */
  readonly cors: (request: IncomingMessage, response: ServerResponse) => boolean;
}

/** Makes the dispatcher. */
export function createDispatcher({
  service,
  routes,
  environment,
  guard,
  delegate,
  proxy,
  fallback,
  cors,
}: DispatchOptions): Dispatcher {
  const refusalOf = (exchange: Exchange): ConnectError | undefined => {
    try {
      return guard?.(exchange);
    } catch (error) {
      return toSentError(error, service);
    }
  };
  /** Neither a mistake in somebody's handler nor what a client makes it trip over may end the process. */
  const fallBack = async (request: IncomingMessage, response: ServerResponse) => {
    try {
      await fallback(request, response);
    } catch (error) {
      const sent = toSentError(error, service);
      if (response.headersSent) response.destroy();
      else refuseCompatibly(request, response, sent);
    }
  };
  // Node makes compatible request and response objects for a server's streams; this server has no others.
  const compatible = http2.createServer();
  const onCompatible = (request: http2.Http2ServerRequest, response: http2.Http2ServerResponse) => {
    const compatibleRequest = request as unknown as IncomingMessage;
    const compatibleResponse = response as unknown as ServerResponse;
    if (request.headers.origin !== undefined) {
      if (cors(compatibleRequest, compatibleResponse)) return;
      const refusal = refusalOf(new Http2Exchange(request.stream, request.headers, environment));
      if (refusal) {
        refuseCompatibly(compatibleRequest, compatibleResponse, refusal);
        return;
      }
    }
    hand(compatibleRequest, compatibleResponse);
  };
  compatible.on("request", onCompatible);
  compatible.on("checkContinue", (request, response) => {
    if (!isProxied(request.url, request.headers)) response.writeContinue();
    onCompatible(request, response);
  });
  const isProxied = (url: string | undefined, headers: http2.IncomingHttpHeaders) =>
    proxy?.takes(url ?? "", headers) === true;
  /** The route of a call that is not the proxy's. */
  const plainRoute = (url: string, headers: http2.IncomingHttpHeaders) =>
    isProxied(url, headers) ? undefined : routes.get(toPath(url));
  const serveGrpc = (route: ServedRoute, exchange: GrpcExchange & StreamExchange, type: GrpcType) => {
    if (route.method.methodKind === "unary") new GrpcUnaryCall(service, route, exchange, type).start();
    else new GrpcStreamCall(service, route, exchange, type).start();
  };
  /** Whether a request's body may take as long as it likes. */
  const mayStreamIn = (path: string) => {
    if (!routes.has(path)) return false;
    const kind = routes.get(path)?.method.methodKind;
    return kind === undefined || kind === "client_streaming" || kind === "bidi_streaming";
  };
  const hand = (request: IncomingMessage, response: ServerResponse) => {
    const path = toPath(request.url ?? "");
    const { watch, bodyTimeoutMs, writeTimeoutMs } = environment;
    if (proxy?.takes(request.url ?? "", request.headers)) {
      limitReader(request, response, watch, writeTimeoutMs);
      proxy.handle(request, response);
      return;
    }
    if (!mayStreamIn(path)) limitBody(request, response, watch, bodyTimeoutMs);
    limitReader(request, response, watch, writeTimeoutMs);
    if (!routes.has(path)) void fallBack(request, response);
    else if (isForm(request.headers["content-type"]) && request.method === "POST")
      refuseForm(response as ServerResponse);
    else delegate(request, response);
  };
  /** Has the proxy answer a request that is whole, unless it leaves that to `handle`. */
  const passWhole = (exchange: Http1DirectExchange): boolean => {
    const body = exchange.takeWhole();
    if (proxy?.handleWhole === undefined || body === undefined || body.length > maxWholeBytes) return false;
    const refusal = refusalOf(exchange);
    if (refusal === undefined) return proxy.handleWhole(new DirectWholeExchange(exchange, body, environment.secure));
    refuse(exchange, refusal);
    return true;
  };
  const onRequest = (request: IncomingMessage, response: ServerResponse) => {
    if (cors(request, response)) return;
    const exchange = new Http1Exchange(request, response, environment);
    const refusal = refusalOfHosts(request) ?? refusalOf(exchange);
    if (refusal) {
      refuse(exchange, refusal);
      return;
    }
    const route = isProxied(request.url, request.headers) ? undefined : routes.get(toPath(exchange.url));
    if (route) {
      const format = matchConnectUnary(route, exchange);
      if (format !== undefined && handleConnectUnary(service, route, exchange, format)) return;
    }
    hand(request, response);
  };
  return {
    needsWhole: ({ url, headers }) => proxy?.handleWhole !== undefined && isProxied(url, headers),
    onCall(exchange) {
      const { method, url, head } = exchange;
      if (isProxied(url, head.headers)) return passWhole(exchange);
      // All else is Node's, whatever it is.
      if (method !== "POST" || head.headers["content-length"] === undefined) return false;
      const route = routes.get(url);
      const format = route && matchConnectUnary(route, exchange);
      if (route === undefined || format === undefined) return false;
      const refusal = refusalOf(exchange);
      if (refusal) refuse(exchange, refusal);
      else handleConnectUnary(service, route, exchange, format);
      return true;
    },
    onHttp2Call(exchange) {
      const route = plainRoute(exchange.url, exchange.head.headers);
      if (route === undefined) return false;
      const grpc = matchGrpc(exchange);
      const format = grpc === undefined && exchange.method === "POST" ? matchConnectUnary(route, exchange) : undefined;
      if (grpc === undefined && format === undefined) return false;
      const refusal = refusalOf(exchange);
      if (refusal) refuse(exchange, refusal);
      else if (grpc !== undefined) serveGrpc(route, exchange, grpc);
      else if (format !== undefined) handleConnectUnary(service, route, exchange, format);
      return true;
    },
    isHttp2Call({ method, url, headers }) {
      const route = method === "POST" ? plainRoute(url, headers) : undefined;
      if (route === undefined) return false;
      const head = { method, header: (name: string) => joinHeader(headers[name]) };
      return matchGrpc(head) !== undefined || matchConnectUnary(route, head) !== undefined;
    },
    onRequest,
    onCheckContinue(request, response) {
      if (!isProxied(request.url, request.headers)) response.writeContinue();
      onRequest(request, response);
    },
    onUpgrade(request, socket, head) {
      // Node listens no more: one reset, and the process would end.
      socket.on("error", () => {});
      const response = new ServerResponse(request);
      const refusal = refusalOfHosts(request) ?? refusalOf(new Http1Exchange(request, response, environment));
      if (refusal === undefined && proxy !== undefined) {
        proxy.upgrade(request, socket, head);
        return;
      }
      response.assignSocket(socket as Socket);
      response.shouldKeepAlive = false;
      response.once("finish", () => socket.end());
      if (refusal === undefined) response.writeHead(426).end();
      else refuseCompatibly(request, response, refusal);
    },
    onStream(stream, headers, flags, raw) {
      const exchange = new Http2Exchange(stream, headers, environment);
      // Answers to web pages are marked on Node's compatible response, before the guard looks: preflights bear no token.
      if (headers.origin !== undefined) {
        compatible.emit("stream", stream, headers, flags, raw);
        return;
      }
      const refusal = refusalOf(exchange);
      if (refusal) {
        refuse(exchange, refusal);
        return;
      }
      const route = isProxied(exchange.url, headers) ? undefined : routes.get(toPath(exchange.url));
      if (route) {
        const grpc = matchGrpc(exchange);
        if (grpc !== undefined) {
          serveGrpc(route, exchange, grpc);
          return;
        }
        const format = matchConnectUnary(route, exchange);
        if (format !== undefined && handleConnectUnary(service, route, exchange, format)) return;
        const refusal = refusalOfLength(route, exchange, service.limits.readMaxBytes);
        if (refusal) {
          refuse(exchange, refusal);
          return;
        }
      }
      compatible.emit("stream", stream, headers, flags, raw);
    },
  };
}

/** What a form posts, and curl unless it is told: no caller of a method means it. */
function isForm(contentType: string | undefined): boolean {
  return contentType === undefined || contentType.startsWith("application/x-www-form-urlencoded");
}

/** The status that connect-node answers with, and words for whoever typed the call. */
function refuseForm(response: ServerResponse): void {
  response.writeHead(415, { "accept-post": "application/json, application/proto", "content-type": "text/plain" });
  response.end("Say what the body is: send the header content-type: application/json, or application/proto.\n");
}

function toPath(url: string): string {
  const query = url.indexOf("?");
  return query === -1 ? url : url.slice(0, query);
}

function refuseCompatibly(request: IncomingMessage, response: ServerResponse, error: ConnectError): void {
  const { status, headers, body } = encodeRefusal(request.headers["content-type"] ?? "", error);
  for (let index = 0; index < headers.length; index += 2) {
    response.setHeader(headers[index] as string, headers[index + 1] as string);
  }
  response.writeHead(status);
  response.end(body);
}

function refuse(exchange: Exchange, error: ConnectError): void {
  const { status, headers, body } = encodeRefusal(exchange.header("content-type") ?? "", error);
  exchange.respond(status, headers, body);
}

/** Of several Host headers one server would believe the first and the next another: such a request is refused (RFC 9112, section 3.2). */
function refusalOfHosts({ rawHeaders }: IncomingMessage): ConnectError | undefined {
  let hosts = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] as string;
    if (name.length === 4 && name.toLowerCase() === "host") hosts++;
  }
  return hosts > 1 ? new ConnectError("the request has several Host headers", Code.InvalidArgument) : undefined;
}
