import type { IncomingMessage, ServerResponse } from "node:http";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import type { FallbackHandler, ServeOptions } from "../options.js";
import { toRequestHead } from "./head.js";
import type { Limits } from "./limits.js";

/** What serves the routes' rare protocols: connect-node, with the same routes, interceptors and limits. */
export type Delegate = (request: IncomingMessage, response: ServerResponse) => void;

/** Makes the delegate. */
export function createDelegate(
  options: ServeOptions,
  limits: Limits,
  shutdownSignal: AbortSignal,
  fallback: FallbackHandler,
): Delegate {
  const { contextValues } = options;
  const adapter = connectNodeAdapter({
    routes: options.routes,
    fallback: fallback as ReturnType<typeof connectNodeAdapter>,
    shutdownSignal,
    readMaxBytes: limits.readMaxBytes,
    writeMaxBytes: limits.writeMaxBytes,
    maxTimeoutMs: limits.maxTimeoutMs,
    compressMinBytes: Math.min(options.compressMinBytes ?? 1024, Number.MAX_SAFE_INTEGER),
    ...(options.interceptors && { interceptors: options.interceptors }),
    ...(options.jsonOptions && { jsonOptions: options.jsonOptions }),
    ...(contextValues && { contextValues: (request) => contextValues(toRequestHead(request as IncomingMessage)) }),
  });
  return (request, response) => adapter(request, response);
}
