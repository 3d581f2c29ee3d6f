import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { CallContext } from "../call/context.js";
import type { Route } from "../call/routes.js";
import type { ServeOptions } from "../options.js";
import { type Codecs, createCodecs } from "../wire/codec.js";
import type { Bag } from "./bag.js";
import type { Exchange } from "./exchange.js";
import type { Limits } from "./limits.js";

/** A route with what it takes to serve it. */
export interface ServedRoute extends Route {
  readonly input: Codecs;
  readonly output: Codecs;
}

/** What the protocols share of one server. */
export interface Service {
  readonly limits: Limits;
  readonly interceptors: readonly Interceptor[];
  readonly compressMinBytes: number;
  readonly jsonOptions: ServeOptions["jsonOptions"];
  readonly contextValues: ServeOptions["contextValues"];
  readonly describeError: ServeOptions["describeError"];
  /** The calls whose handlers hold a signal: those to cancel when the server's patience ends. */
  readonly signalled: Bag<CallContext>;
}

/** Makes a route ready to serve. */
export function createServedRoute(route: Route, { limits, jsonOptions }: Service): ServedRoute {
  const options = { readMaxBytes: limits.readMaxBytes, writeMaxBytes: limits.writeMaxBytes, jsonOptions };
  const { input, output } = route.method;
  return {
    ...route,
    input: createCodecs(input, { ...options, unreadable: Code.InvalidArgument }),
    output: createCodecs(output, options),
  };
}

/** What the handler of a call is given about it; when its caller goes, or the server's patience ends, its signal fires. */
export function createCallContext(
  service: Service,
  route: ServedRoute,
  exchange: Exchange,
  protocolName: "connect" | "grpc",
  timeoutMs: number | undefined,
): CallContext {
  const head = {
    requestMethod: exchange.method,
    protocolName,
    url: () => exchange.absoluteUrl(),
    headers: () => exchange.headers(),
    contextValues: () => service.contextValues?.(exchange),
  };
  return new CallContext(route.method, head, timeoutMs, (context) => {
    service.signalled.add(context);
    exchange.onGone((reason) => context.abort(reason));
  });
}

/** The error that is sent for whatever was thrown; what a handler throws by accident stays inside. */
export function toSentError(reason: unknown, { describeError }: Service): ConnectError {
  const error =
    reason instanceof ConnectError
      ? reason
      : new ConnectError("internal error", Code.Internal, undefined, undefined, reason);
  return describeError === undefined ? error : describeError(error);
}
