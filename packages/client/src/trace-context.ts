import type { HeadersLike } from "./call.js";

/** What OpenTelemetry's API leaves for everybody in the process, whichever copy of it the app uses. */
interface OpenTelemetryApi {
  readonly context?: {
    active(): object;
    with<T>(context: object, run: () => T): T;
  };
  readonly propagation?: {
    inject(
      context: object,
      carrier: Headers,
      setter: { set(carrier: Headers, name: string, value: string): void },
    ): void;
    extract(
      context: object,
      carrier: Carrier,
      getter: { get(carrier: Carrier, name: string): string | undefined; keys(carrier: Carrier): string[] },
    ): object;
  };
}

/** Where a trace's context is read from: an event's extension attributes, headers. */
export type Carrier = Readonly<Record<string, string>>;

/** Where the API keeps it (https://github.com/open-telemetry/opentelemetry-js/blob/main/api/src/internal/global-utils.ts). */
const key = Symbol.for("opentelemetry.js.api.1");

function openTelemetry(): OpenTelemetryApi | undefined {
  return (globalThis as { [key]?: OpenTelemetryApi })[key];
}

const setter = {
  set(headers: Headers, name: string, value: string) {
    if (!headers.has(name)) headers.set(name, value);
  },
};
const getter = {
  get: (carrier: Carrier, name: string) => carrier[name],
  keys: (carrier: Carrier) => Object.keys(carrier),
};

/**
 * `header` with the trace that the caller is in, as the app's OpenTelemetry writes it (by default W3C `traceparent`); as it is when the app uses no
 * OpenTelemetry. What the caller set by hand stays.
 */
export function withTraceContext(header: HeadersLike | undefined): HeadersLike | undefined {
  const { context, propagation } = openTelemetry() ?? {};
  if (context === undefined || propagation === undefined) return header;
  const headers = new Headers(header);
  propagation.inject(context.active(), headers, setter);
  return headers;
}

/** Runs something in the trace that `carrier` bears, so that spans of the app belong to it; just runs it when the app uses no OpenTelemetry. */
export function inTraceOf<T>(carrier: Carrier, run: () => T): T {
  const { context, propagation } = openTelemetry() ?? {};
  if (context === undefined || propagation === undefined || carrier.traceparent === undefined) return run();
  return context.with(propagation.extract(context.active(), carrier, getter), run);
}
