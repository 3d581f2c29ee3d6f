import type { DescMethod, Message } from "@bufbuild/protobuf";
import { createContextValues, type Interceptor, type Transport } from "@connectrpc/connect";
import { requestHeaderWithCompression as connectHeader } from "@connectrpc/connect/protocol-connect";
import { requestHeaderWithCompression as grpcHeader } from "@connectrpc/connect/protocol-grpc";
import { EarlyEnd } from "../call/end.js";
import { intercept, normalize } from "../call/invoke.js";
import type { TransportOptions } from "../options.js";
import { connectDialect } from "../protocol-connect/client-dialect.js";
import { grpcDialect } from "../protocol-grpc/client-dialect.js";
import { callGrpcUnary } from "../protocol-grpc/unary-client.js";
import { compressions } from "../wire/compression.js";
import { type ClientConfig, resolveConfig } from "./config.js";
import { createLazyDelegate } from "./delegate.js";
import { Http1Pool } from "./http1-pool.js";
import { Http2Sessions } from "./http2-sessions.js";
import { type OutgoingCall, userAgent } from "./outgoing-call.js";
import { callStream } from "./stream-call.js";
import type { UnaryAnswer } from "./unary-answer.js";
import { callUnaryHttp1 } from "./unary-http1.js";
import { callUnaryHttp2 } from "./unary-http2.js";

type AnyFn = ReturnType<Interceptor>;
type AnyRequest = Parameters<AnyFn>[0];
type AnyResponse = Awaited<ReturnType<AnyFn>>;

/** A transport that holds connections. */
export interface RpcTransport extends Transport, AsyncDisposable {
  /** Closes the connections; calls that still run fail with CANCELED. */
  close(): Promise<void>;
}

/**
 * Calls a Connect, gRPC or gRPC-Web server. Connections are made when a call needs them, and do not keep the process alive while
 * no call runs.
 *
 * ```ts
 * await using transport = createTransport({ endpoint: "http://127.0.0.1:3600" });
 * const client = createClient(StateService, transport);
 * ```
 */
export function createTransport(options: TransportOptions): RpcTransport {
  const config = resolveConfig(options);
  const { endpoint, protocol, maxConnections, maxQueuedCalls, readMaxBytes } = config;
  const pool = lazy(() => new Http1Pool(endpoint, options.tls, { maxConnections, maxQueuedCalls, readMaxBytes }));
  const sessions = lazy(() => new Http2Sessions(endpoint, options.tls, { maxSessions: 8, maxQueuedCalls }));
  const delegates = {
    "1.1": createLazyDelegate(options, endpoint, "1.1"),
    "2": createLazyDelegate(options, endpoint, "2"),
  };
  const dialect = protocol === "grpc" ? grpcDialect : connectDialect;

  const send = (call: OutgoingCall, message: Message): Promise<UnaryAnswer> => {
    if (protocol === "grpc") return callGrpcUnary(config, sessions.get(), call, message);
    if (options.httpVersion === "2") return callUnaryHttp2(config, sessions.get(), call, message);
    return callUnaryHttp1(config, pool.get(), call, message);
  };

  const toCall = (
    method: DescMethod,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: ConstructorParameters<typeof Headers>[0],
  ): OutgoingCall => ({
    method,
    client: config.method(method),
    signal,
    timeoutMs: timeoutMs === undefined ? config.defaultTimeoutMs : timeoutMs <= 0 ? undefined : timeoutMs,
    header: header === undefined ? undefined : new Headers(header),
  });

  const close = async () => {
    pool.made?.close();
    sessions.made?.close();
    await Promise.all([delegates["1.1"].close(), delegates["2"].close()]);
  };
  return {
    unary(method, signal, timeoutMs, header, input, contextValues) {
      if (protocol === "grpc-web") {
        return delegates[options.httpVersion ?? "1.1"].call((delegate) =>
          delegate.unary(method, signal, timeoutMs, header, input, contextValues),
        );
      }
      const call = toCall(method, signal, timeoutMs, header);
      const message = normalize(method.input, input);
      if (config.interceptors.length === 0) return send(call, message) as Promise<never>;
      return intercepted(config, call, message, contextValues, (sent, request) =>
        send(sent, request.message as Message).then((answer) => answer.toPlain() as unknown as AnyResponse),
      ) as Promise<never>;
    },
    stream(method, signal, timeoutMs, header, input, contextValues) {
      const http1 = protocol !== "grpc" && options.httpVersion === "1.1" && method.methodKind !== "bidi_streaming";
      if (http1 || protocol === "grpc-web") {
        return delegates[http1 ? "1.1" : "2"].call((delegate) =>
          delegate.stream(method, signal, timeoutMs, header, input, contextValues),
        );
      }
      const call = toCall(method, signal, timeoutMs, header);
      if (config.interceptors.length === 0) {
        return callStream(config, sessions.get(), dialect, call, input) as Promise<never>;
      }
      const messages = mapIterable(input, (message) => normalize(method.input, message));
      return intercepted(
        config,
        call,
        messages,
        contextValues,
        (sent, request) =>
          callStream(
            config,
            sessions.get(),
            dialect,
            sent,
            request.message as AsyncIterable<Message>,
          ) as Promise<AnyResponse>,
      ) as Promise<never>;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Runs a call through the interceptors, which see it as it will be sent. */
async function intercepted(
  config: ClientConfig,
  call: OutgoingCall,
  message: unknown,
  contextValues: ReturnType<typeof createContextValues> | undefined,
  send: (call: OutgoingCall, request: AnyRequest) => Promise<AnyResponse>,
): Promise<AnyResponse> {
  const { method, timeoutMs } = call;
  const own = new Headers(call.header);
  if (!own.has("user-agent")) own.set("user-agent", userAgent);
  const accept = (config.acceptCompression ? compressions : []) as never;
  const compression = (config.sendCompression ?? null) as never;
  const header =
    config.protocol === "grpc"
      ? grpcHeader(!config.json, timeoutMs, own, accept, compression)
      : connectHeader(method.methodKind, !config.json, timeoutMs, own, accept, compression, false);
  const abort = new AbortController();
  const early = new EarlyEnd(call.signal, timeoutMs, (error) => abort.abort(error));
  if (call.signal?.aborted) abort.abort(call.signal.reason);
  const request = {
    stream: method.methodKind !== "unary",
    message,
    method,
    service: method.parent,
    requestMethod: "POST",
    url: call.client.url,
    signal: abort.signal,
    header,
    contextValues: contextValues ?? createContextValues(),
  } as unknown as AnyRequest;
  const next: AnyFn = (sent) => send({ ...call, signal: sent.signal, header: sent.header }, sent);
  try {
    const response = await intercept(next, config.interceptors)(request);
    if (response.stream) return endAfterLast(response, early);
    early.clear();
    return response;
  } catch (error) {
    early.clear();
    throw error;
  }
}

/** A stream's deadline holds until its last message. */
function endAfterLast(response: AnyResponse & { stream: true }, early: EarlyEnd): AnyResponse {
  const { message } = response;
  return {
    ...response,
    message: {
      async *[Symbol.asyncIterator]() {
        try {
          yield* message;
        } finally {
          early.clear();
        }
      },
    },
  } as unknown as AnyResponse;
}

function mapIterable<T, U>(source: AsyncIterable<T>, map: (item: T) => U): AsyncIterable<U> {
  return {
    async *[Symbol.asyncIterator]() {
      for await (const item of source) yield map(item);
    },
  };
}

/** Made when first needed. */
function lazy<T>(make: () => T): { get(): T; readonly made: T | undefined } {
  let made: T | undefined;
  return {
    get() {
      made ??= make();
      return made;
    },
    get made() {
      return made;
    },
  };
}
