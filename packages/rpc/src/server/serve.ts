import { Code, ConnectError } from "@connectrpc/connect";
import { collectRoutes } from "../call/routes.js";
import type { FallbackHandler, RpcServer, ServeOptions } from "../options.js";
import { Bag } from "./bag.js";
import { createCors } from "./cors.js";
import { createLazyDelegate } from "./delegate.js";
import { createDispatcher } from "./dispatch.js";
import { resolveLimits } from "./limits.js";
import { listen } from "./listen.js";
import { createListener } from "./listener.js";
import { createServedRoute, type Service } from "./service.js";
import { createWatch } from "./watch.js";

const notFound: FallbackHandler = (_request, response) => {
  response.writeHead(404);
  response.end();
};

/** How long handlers that heed their signal have to answer after a drain's deadline. */
const graceMs = 1000;

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
  const service: Service = {
    limits,
    interceptors: options.interceptors ?? [],
    compressMinBytes: options.compressMinBytes ?? 1024,
    jsonOptions: options.jsonOptions,
    contextValues: options.contextValues,
    describeError: options.describeError,
    signalled: new Bag(),
  };
  const routes = new Map(
    [...collectRoutes(options.routes)].map(([path, route]) => [
      path,
      route.custom ? undefined : createServedRoute(route, service),
    ]),
  );
  const { bodyTimeoutMs, writeTimeoutMs } = limits;
  const watch = createWatch(Math.min(1000, bodyTimeoutMs / 4, writeTimeoutMs / 4));
  const shutdown = new AbortController();
  const environment = { watch, bodyTimeoutMs, writeTimeoutMs, secure: options.tls !== undefined };
  const dispatcher = createDispatcher({
    service,
    routes,
    environment,
    guard: options.guard,
    delegate: createLazyDelegate(options, limits, shutdown.signal),
    proxy: options.proxy,
    fallback: options.fallback ?? notFound,
    cors: createCors(options.allowedOrigins ?? []),
  });
  const { onRequest, onStream, onCheckContinue, onUpgrade, ...direct } = dispatcher;
  const listener = createListener({
    limits,
    tls: options.tls,
    proxy: options.proxy,
    environment,
    ...direct,
  });
  listener.h1.on("request", onRequest);
  listener.h1.on("checkContinue", onCheckContinue);
  listener.h2.on("stream", onStream);
  // Without a listener a request to change protocols is served as any other.
  if (options.proxy !== undefined) listener.h1.on("upgrade", onUpgrade);
  const endpoint = await listen(listener.server, options.listen ?? {}, options.tls ? "https" : "http");

  const close = async (deadlineMs: number): Promise<void> => {
    listener.drain();
    if (!(await within(listener.closed, deadlineMs))) {
      const reason = new ConnectError("the server is shutting down", Code.Unavailable);
      shutdown.abort(reason);
      for (const context of service.signalled.list()) context.abort(reason);
      await within(listener.closed, Math.min(graceMs, deadlineMs));
      listener.destroy();
    }
    await listener.closed;
    watch.close();
  };
  let closing: Promise<void> | undefined;
  const closeOnce = (deadlineMs = 30_000) => (closing ??= close(deadlineMs));
  return {
    endpoint,
    renewTls: listener.renewTls,
    close: (closeOptions) => closeOnce(closeOptions?.deadlineMs),
    [Symbol.asyncDispose]: () => closeOnce(),
  };
}

/** Whether something happens in time. */
async function within(event: Promise<void>, timeoutMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, false);
  });
  const inTime = await Promise.race([event.then(() => true), late]);
  clearTimeout(timer);
  return inTime;
}
