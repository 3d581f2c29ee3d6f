import * as net from "node:net";
import type { Transport } from "@connectrpc/connect";
import type { TransportOptions } from "../options.js";
import { toTlsOptions } from "./connect-socket.js";
import type { Endpoint } from "./endpoint.js";

/** Calls through connect-node what has no direct path. It is loaded by the first such call. */
export type LazyDelegate = <T>(call: (transport: Transport) => Promise<T>) => Promise<T>;

/** Makes connect-node's transport with the same options, when it is needed. */
export function createLazyDelegate(
  options: TransportOptions,
  endpoint: Endpoint,
  httpVersion: "1.1" | "2",
): LazyDelegate {
  let transport: Promise<Transport> | undefined;
  return async (call) => {
    transport ??= create(options, endpoint, httpVersion);
    return call(await transport);
  };
}

async function create(options: TransportOptions, endpoint: Endpoint, httpVersion: "1.1" | "2"): Promise<Transport> {
  const { compressionBrotli, compressionGzip, createConnectTransport, createGrpcWebTransport } = await import(
    "@connectrpc/connect-node"
  );
  const common = {
    baseUrl: endpoint.baseUrl,
    useBinaryFormat: !options.useJson,
    useHttpGet: options.useHttpGet ?? false,
    interceptors: options.interceptors ?? [],
    readMaxBytes: options.readMaxBytes ?? 64 * 1024 * 1024,
    writeMaxBytes: options.writeMaxBytes ?? 64 * 1024 * 1024,
    ...(options.jsonOptions && { jsonOptions: options.jsonOptions }),
    ...(options.defaultTimeoutMs !== undefined && { defaultTimeoutMs: options.defaultTimeoutMs }),
    ...(Number.isFinite(options.compressMinBytes ?? Number.POSITIVE_INFINITY) && {
      sendCompression: options.compression === "br" ? compressionBrotli : compressionGzip,
      compressMinBytes: options.compressMinBytes ?? 0,
    }),
  };
  const tls = {
    ...toTlsOptions(options.tls),
    ...(options.tls?.serverName !== undefined && { servername: options.tls.serverName }),
  };
  const nodeOptions =
    endpoint.kind === "unix"
      ? httpVersion === "2"
        ? { createConnection: () => net.connect({ path: endpoint.path }) }
        : { socketPath: endpoint.path }
      : tls;
  const createTransport = options.protocol === "grpc-web" ? createGrpcWebTransport : createConnectTransport;
  return httpVersion === "2"
    ? createTransport({ ...common, httpVersion: "2", nodeOptions })
    : createTransport({ ...common, httpVersion: "1.1", nodeOptions });
}
