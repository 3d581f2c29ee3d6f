import type { IncomingMessage, ServerResponse } from "node:http";
import { Code, ConnectError } from "@connectrpc/connect";
import type { FallbackHandler, RpcServer, ServeOptions } from "../options.js";
import { createCors } from "./cors.js";
import { createDelegate } from "./delegate.js";
import { toRequestHead } from "./head.js";
import { createInFlight } from "./in-flight.js";
import { resolveLimits } from "./limits.js";
import { listen } from "./listen.js";
import { createListener } from "./listener.js";
import { refuse } from "./refuse.js";

const notFound: FallbackHandler = (_request, response) => {
  response.writeHead(404);
  response.end();
};

/**
 * Serves Connect, gRPC and gRPC-Web over HTTP/1.1 and HTTP/2 on one TCP port or Unix socket. Resolves once it listens.
 *
 * ```ts
 * await using server = await serve({ routes: (router) => router.service(StateService, impl) });
 * console.log(server.endpoint); // http://127.0.0.1:41233
 * ```
 */
export async function serve(options: ServeOptions): Promise<RpcServer> {
  const limits = resolveLimits(options.limits);
  const listener = createListener(limits, options.tls);
  const shutdown = new AbortController();
  const inFlight = createInFlight();
  const delegate = createDelegate(options, limits, shutdown.signal, options.fallback ?? notFound);
  const cors = createCors(options.allowedOrigins ?? []);
  let draining = false;

  const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    inFlight.add();
    response.once("close", () => inFlight.remove());
    if (draining && request.httpVersionMajor === 1) response.setHeader("connection", "close");
    if (cors(request, response)) return;
    const refusal = options.guard?.(toRequestHead(request));
    if (refusal) refuse(request, response, refusal);
    else delegate(request, response);
  };
  listener.h1.on("request", onRequest);
  listener.h2.on("request", onRequest);

  const endpoint = await listen(listener.server, options.listen ?? {}, options.tls ? "https" : "http");

  let closing: Promise<void> | undefined;
  const close = async (deadlineMs: number): Promise<void> => {
    draining = true;
    listener.stopAccepting();
    if (!(await inFlight.idle(deadlineMs))) {
      shutdown.abort(new ConnectError("the server is shutting down", Code.Unavailable));
      // Handlers that heed their signal answer now; the others are cut off.
      await inFlight.idle(Math.min(1000, deadlineMs));
    }
    listener.destroy();
    await listener.closed;
  };
  const closeOnce = (deadlineMs = 30_000) => (closing ??= close(deadlineMs));
  return {
    endpoint,
    close: (options) => closeOnce(options?.deadlineMs),
    [Symbol.asyncDispose]: () => closeOnce(),
  };
}
