import * as net from "node:net";
import type { Transport } from "@connectrpc/connect";
import {
  compressionBrotli,
  compressionGzip,
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import type { TransportOptions } from "../options.js";
import type { Endpoint } from "./endpoint.js";

/** The transport for what has no direct path: connect-node's, with the same options. */
export function createDelegate(options: TransportOptions, endpoint: Endpoint, httpVersion: "1.1" | "2"): Transport {
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
    ...(options.tls?.ca !== undefined && { ca: toPem(options.tls.ca) }),
    ...(options.tls?.key !== undefined && { key: toPem(options.tls.key) }),
    ...(options.tls?.cert !== undefined && { cert: toPem(options.tls.cert) }),
    ...(options.tls?.serverName !== undefined && { servername: options.tls.serverName }),
  };
  const nodeOptions =
    endpoint.kind === "unix"
      ? httpVersion === "2"
        ? { createConnection: () => net.connect({ path: endpoint.path }) }
        : { socketPath: endpoint.path }
      : tls;
  if (options.protocol === "grpc") return createGrpcTransport({ ...common, nodeOptions });
  const create = options.protocol === "grpc-web" ? createGrpcWebTransport : createConnectTransport;
  return httpVersion === "2"
    ? create({ ...common, httpVersion: "2", nodeOptions })
    : create({ ...common, httpVersion: "1.1", nodeOptions });
}

function toPem(pem: string | Uint8Array): string | Buffer {
  return typeof pem === "string" ? pem : Buffer.from(pem);
}
