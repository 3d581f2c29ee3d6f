import { AsyncLocalStorage } from "node:async_hooks";
import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import type { Blocks } from "@mecha/component";
import {
  type Context,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { codeName } from "./errors.js";
import { isSampled, isTraceparent } from "./trace-context.js";

/** A method of a service, whatever its types. */
export type AnyMethod = (request: unknown, context: HandlerContext) => unknown;

/** Shows calls and what components do for them as OpenTelemetry spans. */
export interface Tracing {
  /** `method`, each call of it a span that continues the caller's trace (https://www.w3.org/TR/trace-context/). */
  method(desc: DescMethod, method: AnyMethod): AnyMethod;
  /** Begins the span of a call between apps, or of one attempt at it; undefined if its trace is left alone, as it is then. */
  exchange(of: {
    name: string;
    kind: "server" | "client";
    traceparent: string | undefined;
    attributes: Record<string, string | number>;
  }): OpenSpan | undefined;
  /** Begins the span of a delivery to the app, in the event's trace; undefined if that is left alone. */
  delivery(of: {
    block: string;
    component: string;
    attempt: number;
    traceparent: string | undefined;
  }): OpenSpan | undefined;
  /** `blocks`, each call of them for an app's call a span below that one's. What nobody waits for has none. */
  component(component: { readonly name: string; readonly type: string }, blocks: Blocks): Blocks;
}

/** A span that is under way. */
export interface OpenSpan {
  /** What continues the trace from it, as W3C's `traceparent`. */
  readonly traceparent: string;
  /** @param error what is wrong, if something is */
  end(attributes: Record<string, string | number>, error?: string): void;
}

/** The codes that mean that something is wrong here, not with the request (https://opentelemetry.io/docs/specs/semconv/rpc/connect-rpc/). */
const faults = new Set([
  Code.Unknown,
  Code.DeadlineExceeded,
  Code.Unimplemented,
  Code.Internal,
  Code.Unavailable,
  Code.DataLoss,
]);

const propagator = new W3CTraceContextPropagator();
const textGetter = {
  get: (carrier: Record<string, string>, name: string) => carrier[name],
  keys: (carrier: Record<string, string>) => Object.keys(carrier),
};
const headerGetter = {
  get: (headers: Headers, name: string) => headers.get(name) ?? undefined,
  keys: (headers: Headers) => [...headers.keys()],
};

export interface TracingOptions {
  readonly tracer: Tracer;
  /** Whether it is asked about traces that nobody records, too. */
  readonly traceUnsampled: boolean;
}

/** Traces with a tracer; nothing of OpenTelemetry that is global to the process is used or set. */
export function createTracing({ tracer, traceUnsampled }: TracingOptions): Tracing {
  /** The call that is being served, across everything it waits for. */
  const current = new AsyncLocalStorage<Context>();

  const isLeftAlone = (traceparent: string | null | undefined) =>
    !traceUnsampled && typeof traceparent === "string" && isTraceparent(traceparent) && !isSampled(traceparent);

  const begin = (desc: DescMethod, { requestHeader }: HandlerContext): { span: Span; context: Context } => {
    const parent = propagator.extract(ROOT_CONTEXT, requestHeader, headerGetter);
    const attributes = { "rpc.system": "connect_rpc", "rpc.service": desc.parent.typeName, "rpc.method": desc.name };
    const span = tracer.startSpan(
      `${desc.parent.typeName}/${desc.name}`,
      { kind: SpanKind.SERVER, attributes },
      parent,
    );
    return { span, context: trace.setSpan(parent, span) };
  };

  const openSpan = (
    name: string,
    kind: SpanKind,
    traceparent: string | undefined,
    attributes: Record<string, string | number>,
  ): OpenSpan | undefined => {
    if (isLeftAlone(traceparent)) return undefined;
    const parent =
      traceparent === undefined ? ROOT_CONTEXT : propagator.extract(ROOT_CONTEXT, { traceparent }, textGetter);
    const span = tracer.startSpan(name, { kind, attributes }, parent);
    const { traceId, spanId, traceFlags } = span.spanContext();
    return {
      traceparent: `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, "0")}`,
      end(more, error) {
        span.setAttributes(more);
        if (error !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: error });
        span.end();
      },
    };
  };

  return {
    method(desc, method) {
      if (desc.methodKind === "unary") {
        return (request, call) => {
          if (isLeftAlone(call.requestHeader.get("traceparent"))) return method(request, call);
          const { span, context } = begin(desc, call);
          return within(span, () => current.run(context, method, request, call));
        };
      }
      return (request, call) =>
        isLeftAlone(call.requestHeader.get("traceparent")) ? method(request, call) : traceStream(request, call);
      async function* traceStream(request: unknown, call: HandlerContext) {
        const { span, context } = begin(desc, call);
        const messages = current.run(context, method, request, call) as AsyncIterable<unknown>;
        const iterator = messages[Symbol.asyncIterator]();
        try {
          for (;;) {
            const result = await current.run(context, () => iterator.next());
            if (result.done === true) return;
            yield result.value;
          }
        } catch (error) {
          fail(span, error);
          throw error;
        } finally {
          await current.run(context, async () => iterator.return?.());
          span.end();
        }
      }
    },

    exchange({ name, kind, traceparent, attributes }) {
      return openSpan(name, kind === "server" ? SpanKind.SERVER : SpanKind.CLIENT, traceparent, attributes);
    },

    delivery({ block, component, attempt, traceparent }) {
      return openSpan(`${component} deliver`, SpanKind.CONSUMER, traceparent, {
        "mecha.component": component,
        "mecha.block": block,
        "mecha.attempt": attempt,
      });
    },

    component({ name, type }, blocks) {
      const traceBlock = <Served extends object>(block: string, served: Served): Served =>
        new Proxy(served, {
          get(target, property) {
            // The target as `this`: its private fields are not the proxy's.
            const value: unknown = Reflect.get(target, property, target);
            if (typeof value !== "function") return value;
            return (...args: unknown[]) => {
              const call = () => Reflect.apply(value, target, args) as unknown;
              const parent = current.getStore();
              if (parent === undefined) return call();
              const attributes = { "mecha.component": name, "mecha.component.type": type, "mecha.block": block };
              const span = tracer.startSpan(`${type} ${block}.${String(property)}`, { attributes }, parent);
              return within(span, () => current.run(trace.setSpan(parent, span), call));
            };
          },
        });
      const traced = Object.entries(blocks).map(([block, served]) => [block, traceBlock(block, served)]);
      return Object.fromEntries(traced) as Blocks;
    },
  };
}

/** Ends the span with what is done in it, in this turn if that is. */
function within<Result>(span: Span, run: () => Result): Result {
  let result: Result;
  try {
    result = run();
  } catch (error) {
    fail(span, error);
    span.end();
    throw error;
  }
  if (!(result instanceof Promise)) {
    span.end();
    return result;
  }
  return result
    .catch((error: unknown) => {
      fail(span, error);
      throw error;
    })
    .finally(() => span.end()) as Result;
}

function fail(span: Span, error: unknown): void {
  const code = error instanceof ConnectError ? error.code : undefined;
  if (code !== undefined) span.setAttribute("rpc.connect_rpc.error_code", codeName(code));
  if (code !== undefined && !faults.has(code)) return;
  span.setStatus({ code: SpanStatusCode.ERROR, message: error instanceof Error ? error.message : String(error) });
}
