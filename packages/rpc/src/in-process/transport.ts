import { type ConnectRouter, createRouterTransport, type Transport } from "@connectrpc/connect";
import type { InProcessTransportOptions } from "../options.js";

/** Calls services of the same process. */
export function createInProcessTransport(
  routes: (router: ConnectRouter) => void,
  options: InProcessTransportOptions = {},
): Transport {
  return createRouterTransport(routes, {
    router: { ...(options.serverInterceptors && { interceptors: options.serverInterceptors }) },
    transport: {
      ...(options.interceptors && { interceptors: options.interceptors }),
      ...(options.defaultTimeoutMs !== undefined && { defaultTimeoutMs: options.defaultTimeoutMs }),
    },
  });
}
