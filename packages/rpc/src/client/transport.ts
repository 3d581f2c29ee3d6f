import type { Transport } from "@connectrpc/connect";
import type { TransportOptions } from "../options.js";
import { createDelegate } from "./delegate.js";
import { parseEndpoint } from "./endpoint.js";

/** A transport that holds connections. */
export interface RpcTransport extends Transport, AsyncDisposable {
  /** Closes the connections; calls that still run fail with CANCELED. */
  close(): Promise<void>;
}

/** Calls a Connect, gRPC or gRPC-Web server. Connections are made when the first call needs them. */
export function createTransport(options: TransportOptions): RpcTransport {
  const endpoint = parseEndpoint(options.endpoint);
  const httpVersion = options.httpVersion ?? (options.protocol === "grpc" ? "2" : "1.1");
  const unary = createDelegate(options, endpoint, httpVersion);
  const streams = httpVersion === "2" ? unary : createDelegate(options, endpoint, "2");
  const http1Streams = options.httpVersion === "1.1" ? unary : streams;
  const close = async () => {};
  return {
    unary: (...call) => unary.unary(...call),
    stream: (method, ...call) =>
      (method.methodKind === "bidi_streaming" ? streams : http1Streams).stream(method, ...call),
    close,
    [Symbol.asyncDispose]: close,
  };
}
