import type { IncomingMessage, ServerResponse } from "node:http";
import type { connectNodeAdapter } from "@connectrpc/connect-node";
import type { RequestHead, ServeOptions } from "../options.js";
import type { Limits } from "./limits.js";

/** What serves the routes' rare protocols. */
export type Delegate = (request: IncomingMessage, response: ServerResponse) => void;

type Adapter = ReturnType<typeof connectNodeAdapter>;

/**
 * connect-node, with the same routes, interceptors and limits. It is loaded when the first request needs it: a runtime that is
 * only called in the common ways starts faster and stays smaller.
 */
export function createLazyDelegate(options: ServeOptions, limits: Limits, shutdownSignal: AbortSignal): Delegate {
  let adapter: Adapter | undefined;
  let loading: Promise<Adapter> | undefined;
  const load = async (): Promise<Adapter> => {
    const { connectNodeAdapter } = await import("@connectrpc/connect-node");
    const { contextValues } = options;
    adapter = connectNodeAdapter({
      routes: options.routes,
      shutdownSignal,
      readMaxBytes: limits.readMaxBytes,
      writeMaxBytes: limits.writeMaxBytes,
      maxTimeoutMs: limits.maxTimeoutMs,
      compressMinBytes: Math.min(options.compressMinBytes ?? 1024, Number.MAX_SAFE_INTEGER),
      ...(options.interceptors && { interceptors: options.interceptors }),
      ...(options.jsonOptions && { jsonOptions: options.jsonOptions }),
      ...(contextValues && { contextValues: (request) => contextValues(toRequestHead(request as IncomingMessage)) }),
    });
    return adapter;
  };
  return (request, response) => {
    if (request.httpVersionMajor === 1) keepConnection(request, response);
    if (adapter) hand(adapter, request, response);
    else {
      loading ??= load();
      void loading.then((loaded) => hand(loaded, request, response));
    }
  };
}

/** connect-node throws at a request whose Host makes no URL: that is the client's mistake, and must not end the server. */
function hand(adapter: Adapter, request: IncomingMessage, response: ServerResponse): void {
  try {
    adapter(request, response);
  } catch {
    response.writeHead(400);
    response.end();
  }
}

/**
 * connect-node stops reading a request to answer with an error, and Node then destroys the connection, often before the client has
 * read the answer. Here the rest of the request is read and dropped instead.
 */
function keepConnection(request: IncomingMessage, response: ServerResponse): void {
  request[Symbol.asyncIterator] = () => request.iterator({ destroyOnReturn: false });
  response.once("finish", () => {
    if (!request.readableEnded) request.resume();
  });
}

function toRequestHead(request: IncomingMessage): RequestHead {
  const { headers } = request;
  return {
    method: request.method ?? "",
    url: request.url ?? "",
    header(name) {
      const value = headers[name] ?? (name === "host" ? headers[":authority"] : undefined);
      return Array.isArray(value) ? value.join(", ") : value;
    },
    remoteAddress: request.socket.remoteAddress,
  };
}
