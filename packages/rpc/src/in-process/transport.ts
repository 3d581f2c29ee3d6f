import { type ConnectRouter, createRouterTransport, type Interceptor, type Transport } from "@connectrpc/connect";
import type { InProcessTransportOptions } from "../options.js";

/** Calls services of the same process. */
export function createInProcessTransport(
  routes: (router: ConnectRouter) => void,
  options: InProcessTransportOptions = {},
): Transport {
  return createRouterTransport(routes, {
    router: { interceptors: [endWithCaller, ...(options.serverInterceptors ?? [])] },
    transport: {
      ...(options.interceptors && { interceptors: options.interceptors }),
      ...(options.defaultTimeoutMs !== undefined && { defaultTimeoutMs: options.defaultTimeoutMs }),
    },
  });
}

/** Ends what a handler streams when its caller is gone: without a connection to close, it would stay suspended at its last message. */
const endWithCaller: Interceptor = (next) => async (request) => {
  const response = await next(request);
  if (!response.stream) return response;
  const messages = response.message[Symbol.asyncIterator]();
  request.signal.addEventListener("abort", () => void messages.return?.().catch(() => {}), { once: true });
  return { ...response, message: { [Symbol.asyncIterator]: () => messages } };
};
