import { createHistogram, type Histogram } from "../telemetry/histogram.js";
import type { RuntimeLogger } from "../telemetry/logger.js";
import type { Sample, SampledMetric } from "../telemetry/metrics.js";
import { isSampled, isTraceparent } from "../telemetry/trace-context.js";
import type { OpenSpan, Tracing } from "../telemetry/tracing.js";
import type { AttemptObserver } from "./attempt-observer.js";
import type { Inbound } from "./exchange.js";
import { type ExchangeEnd, WatchedInbound } from "./inbound-proxy.js";
import { withoutQuery } from "./path.js";

/** A call between apps, as this runtime sees it. */
export interface WatchedCall {
  /** outgoing: its own app calls. incoming: it is called. */
  readonly direction: "outgoing" | "incoming";
  readonly from: string;
  readonly to: string;
}

/** Shows the calls between apps: metrics always, spans and an access log where they are asked for. */
export interface MeshTelemetry {
  /** Watches a call; what is returned takes the request's place, and is in the trace of the call's span. */
  watch(call: WatchedCall, inbound: Inbound): Inbound;
  /** Shows the attempts of outgoing calls; undefined if nothing is traced. */
  readonly attempts: AttemptObserver | undefined;
  readonly durations: Histogram;
  metrics(): readonly Sample[];
}

export interface MeshTelemetryOptions {
  readonly tracing: Tracing | undefined;
  /** Whether each call is a line in the log. */
  readonly accessLog: boolean;
  readonly logger: RuntimeLogger;
}

const inFlight: SampledMetric = {
  name: "mecha_app_calls_in_flight",
  help: "Calls between apps that are under way: of this runtime's app (outgoing), or to it (incoming).",
  type: "gauge",
  labels: ["direction"],
};

export function createMeshTelemetry({ tracing, accessLog, logger }: MeshTelemetryOptions): MeshTelemetry {
  const durations = createHistogram(
    "mecha_call_duration_seconds",
    "How long calls between apps took, retries and all, by the status of the answer: broken if it broke off, none if the caller left before.",
    ["direction", "from", "to", "status"],
  );
  const open = { outgoing: 0, incoming: 0 };

  const begin = ({ direction, from, to }: WatchedCall, { method, target, headers }: Inbound): OpenSpan | undefined =>
    tracing?.exchange({
      name: direction === "outgoing" ? `call ${to}` : `serve ${from}`,
      kind: "server",
      traceparent: headers.traceparent as string | undefined,
      attributes: {
        "mecha.from": from,
        "mecha.to": to,
        "http.request.method": method === "CONNECT" ? "GET" : method,
        "url.path": withoutQuery(target),
      },
    });

  return {
    watch(call, inbound) {
      const { direction, from, to } = call;
      const start = performance.now();
      const span = begin(call, inbound);
      open[direction] += 1;
      const headers = span === undefined ? inbound.headers : { ...inbound.headers, traceparent: span.traceparent };
      return new WatchedInbound(inbound, headers, (end) => {
        open[direction] -= 1;
        const durationMs = performance.now() - start;
        durations.series(direction, from, to, describe(end)).observe(durationMs / 1000);
        if (span !== undefined) endSpan(span, end);
        if (!accessLog) return;
        const { method, target } = inbound;
        const given = span?.traceparent ?? headers.traceparent;
        const traceparent = typeof given === "string" && isTraceparent(given) ? given : undefined;
        logger.info(
          {
            ...call,
            method: method === "CONNECT" ? "GET" : method,
            path: withoutQuery(target),
            status: end.status,
            ...(!end.isWhole && { broken: true }),
            durationMs: Math.round(durationMs * 1000) / 1000,
            ...(traceparent !== undefined && { traceId: traceparent.slice(3, 35) }),
          },
          "access",
        );
      });
    },
    attempts: tracing && {
      begin({ app, address, number, headers }) {
        const call = headers.traceparent as string | undefined;
        // Every sampler decides for a call's attempts as it did for the call, whose span this is.
        if (call !== undefined && !isSampled(call)) return undefined;
        const span = tracing.exchange({
          name: `attempt ${app}`,
          kind: "client",
          traceparent: call,
          attributes: { "mecha.to": app, "server.address": address, "mecha.attempt": number },
        });
        if (span === undefined) return undefined;
        return {
          headers: { ...headers, traceparent: span.traceparent },
          over(outcome) {
            if (outcome === undefined) span.end({ "mecha.outcome": "caller left" });
            else if (outcome.type !== "answer") span.end({ "mecha.outcome": outcome.type }, outcome.type);
            else {
              const { status, code } = outcome;
              const attributes = {
                "http.response.status_code": status,
                ...(code !== undefined && { "mecha.code": code }),
              };
              span.end(attributes, status >= 500 ? `status ${status}` : undefined);
            }
          },
        };
      },
    },
    durations,
    metrics: () =>
      (["outgoing", "incoming"] as const).map((direction) => {
        return { metric: inFlight, labels: { direction }, value: open[direction] };
      }),
  };
}

/** https://opentelemetry.io/docs/specs/semconv/http/http-spans/#status: 5xx is an error of whoever serves. */
function endSpan(span: OpenSpan, { status, isWhole, trailers }: ExchangeEnd): void {
  const grpcStatus = trailers["grpc-status"];
  const attributes = {
    ...(status !== 0 && { "http.response.status_code": status }),
    ...(typeof grpcStatus === "string" && { "rpc.grpc.status_code": grpcStatus }),
  };
  const broken = status === 0 ? undefined : "the answer broke off";
  span.end(attributes, status >= 500 ? `status ${status}` : isWhole ? undefined : broken);
}

function describe({ status, isWhole }: ExchangeEnd): string {
  if (status === 0) return "none";
  return isWhole ? String(status) : "broken";
}
