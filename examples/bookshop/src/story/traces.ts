// A small OpenTelemetry collector: takes the runtimes' spans, and draws a trace.
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { styleText } from "node:util";
import { readSpans, type Span } from "./otlp.ts";

export class Collector implements AsyncDisposable {
  /** By trace. */
  readonly #traces = new Map<string, Span[]>();
  readonly #server = createServer(async (request, response) => {
    for (const span of readSpans(await buffer(request))) {
      this.#traces.set(span.traceId, [...(this.#traces.get(span.traceId) ?? []), span]);
    }
    response.end();
  });

  /** Resolves with what `OTEL_EXPORTER_OTLP_ENDPOINT` is to be. */
  async listen(): Promise<string> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The spans of a trace that have come so far. */
  spansOf(traceId: string): readonly Span[] {
    return this.#traces.get(traceId) ?? [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

const barWidth = 30;

/** A trace as a tree: which runtime did what, with what outcome, when, and how long it took. */
export function drawTrace(spans: readonly Span[]): string[] {
  const ids = new Set(spans.map(({ id }) => id));
  const below = (parentId: string | undefined) =>
    spans
      .filter((span) => (parentId === undefined ? !ids.has(span.parentId) : span.parentId === parentId))
      .sort((a, b) => a.start - b.start);
  const inOrder = (parentId: string | undefined, depth: number): [Span, number][] =>
    below(parentId).flatMap((span) => [[span, depth], ...inOrder(span.id, depth + 1)]);

  const rows = inOrder(undefined, 0);
  const begin = Math.min(...spans.map(({ start }) => start));
  const totalMs = Math.max(...spans.map(({ start, durationMs }) => start + durationMs)) - begin;
  const labels = rows.map(([span, depth]) => `${"  ".repeat(depth)}${describe(span)}`);
  const width = Math.max(...labels.map((label) => label.length));
  return rows.map(([{ appId, start, durationMs, attributes }, _], index) => {
    const status = Number(attributes["http.response.status_code"]);
    const from = Math.min(barWidth - 1, Math.floor(((start - begin) / totalMs) * barWidth));
    const length = Math.max(1, Math.min(barWidth - from, Math.round((durationMs / totalMs) * barWidth)));
    const bar = styleText(status >= 500 ? "red" : "green", "━".repeat(length));
    const time = `${durationMs.toFixed(1).padStart(6)} ms`;
    const label = (labels[index] ?? "").padEnd(width);
    return `${appId.padEnd(10)} ${label}  ${status}  ${" ".repeat(from)}${bar}${" ".repeat(barWidth - from - length)} ${time}`;
  });
}

function describe({ name, attributes }: Span): string {
  const number = attributes["mecha.attempt"];
  return number === undefined ? name : `${name}, number ${number}`;
}
