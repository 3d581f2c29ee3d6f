import * as http from "node:http";
import * as https from "node:https";
import * as net from "node:net";
import type { Transport } from "@connectrpc/connect";
import type { TransportOptions } from "../options.js";
import { toTlsOptions } from "./connect-socket.js";
import type { Endpoint } from "./endpoint.js";

/** Calls through connect-node what has no direct path. It is loaded by the first such call. */
export interface LazyDelegate {
  call<T>(call: (transport: Transport) => Promise<T>): Promise<T>;
  /** Closes its connections. */
  close(): Promise<void>;
}

/** connect-node's transport, and what closes the connections that it made. */
interface Delegated {
  readonly transport: Transport;
  close(): void;
}

/** Makes connect-node's transport with the same options, when it is needed. */
export function createLazyDelegate(
  options: TransportOptions,
  endpoint: Endpoint,
  httpVersion: "1.1" | "2",
): LazyDelegate {
  let delegated: Promise<Delegated> | undefined;
  return {
    async call(call) {
      delegated ??= create(options, endpoint, httpVersion);
      return call((await delegated).transport);
    },
    async close() {
      (await delegated)?.close();
    },
  };
}

async function create(options: TransportOptions, endpoint: Endpoint, httpVersion: "1.1" | "2"): Promise<Delegated> {
  const node = await import("@connectrpc/connect-node");
  const { compressionBrotli, compressionGzip, createConnectTransport, createGrpcWebTransport } = node;
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
  if (httpVersion === "2") {
    const sessionManager = new node.Http2SessionManager(endpoint.baseUrl, undefined, nodeOptions);
    const transport = createTransport({ ...common, httpVersion: "2", sessionManager });
    return { transport, close: () => sessionManager.abort() };
  }
  const agent = endpoint.baseUrl.startsWith("https:") ? new https.Agent(keepAlive) : new http.Agent(keepAlive);
  const transport = createTransport({ ...common, httpVersion: "1.1", nodeOptions: { ...nodeOptions, agent } });
  return { transport, close: () => agent.destroy() };
}

/** Connections of its own, so that closing the transport closes them and no others. */
const keepAlive = { keepAlive: true, timeout: 30_000 };
