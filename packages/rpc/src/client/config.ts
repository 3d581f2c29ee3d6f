import type { DescMethod } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import { toPath } from "../call/routes.js";
import type { TransportOptions } from "../options.js";
import { type Codec, createCodecs } from "../wire/codec.js";
import { brotli, type Compression, gzip } from "../wire/compression.js";
import { type Endpoint, parseEndpoint } from "./endpoint.js";

/** A transport's options, resolved. */
export interface ClientConfig {
  readonly endpoint: Endpoint;
  readonly protocol: "connect" | "grpc" | "grpc-web";
  readonly json: boolean;
  readonly useHttpGet: boolean;
  readonly interceptors: readonly Interceptor[];
  readonly defaultTimeoutMs: number | undefined;
  readonly readMaxBytes: number;
  readonly writeMaxBytes: number;
  readonly sendCompression: Compression | undefined;
  readonly compressMinBytes: number;
  readonly acceptCompression: boolean;
  readonly maxConnections: number;
  readonly maxQueuedCalls: number;
  readonly options: TransportOptions;
  /** What is the same for every call of a method. */
  method(method: DescMethod): ClientMethod;
}

/** A method as a client sees it. */
export interface ClientMethod {
  readonly path: string;
  readonly url: string;
  readonly input: Codec;
  readonly output: Codec;
}

const largest = 64 * 1024 * 1024;

/** Fills in the defaults. */
export function resolveConfig(options: TransportOptions): ClientConfig {
  const endpoint = parseEndpoint(options.endpoint);
  const { compressMinBytes = Number.POSITIVE_INFINITY, useJson = false } = options;
  const readMaxBytes = options.readMaxBytes ?? largest;
  const writeMaxBytes = options.writeMaxBytes ?? largest;
  const codecOptions = { readMaxBytes, writeMaxBytes, jsonOptions: options.jsonOptions };
  const methods = new Map<DescMethod, ClientMethod>();
  return {
    endpoint,
    protocol: options.protocol ?? "connect",
    json: useJson,
    useHttpGet: options.useHttpGet ?? false,
    interceptors: options.interceptors ?? [],
    defaultTimeoutMs: options.defaultTimeoutMs,
    readMaxBytes,
    writeMaxBytes,
    sendCompression: Number.isFinite(compressMinBytes) ? (options.compression === "br" ? brotli : gzip) : undefined,
    compressMinBytes,
    acceptCompression: options.acceptCompression ?? !isLocal(endpoint),
    maxConnections: options.maxConnections ?? 64,
    maxQueuedCalls: options.maxQueuedCalls ?? 10_000,
    options,
    method(method) {
      let known = methods.get(method);
      if (known === undefined) {
        const input = createCodecs(method.input, codecOptions);
        const output = createCodecs(method.output, codecOptions);
        const path = toPath(method);
        known = {
          path,
          url: endpoint.baseUrl + path,
          input: useJson ? input.json : input.binary,
          output: useJson ? output.json : output.binary,
        };
        methods.set(method, known);
      }
      return known;
    },
  };
}

/** On one host, compressing costs more than the bytes it saves. */
function isLocal(endpoint: Endpoint): boolean {
  return endpoint.kind === "unix" || /^(localhost|127\.\d+\.\d+\.\d+|::1)$/.test(endpoint.host);
}
