import { context, propagation, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { TracerProvider } from "@opentelemetry/sdk-trace";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startRuntime, until } from "../test/runtime.js";
import { createPubSubClient } from "./index.js";

// What an app does that uses OpenTelemetry.
beforeAll(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
});
afterAll(() => {
  context.disable();
  propagation.disable();
});

test("a handler works in the trace of whoever published, across the runtime, with nothing said", async () => {
  const runtime = await startRuntime();
  await using pubsub = createPubSubClient({ endpoint: runtime.endpoint });
  const seen: (string | undefined)[] = [];
  await using _ = pubsub.subscribe(
    "orders",
    async () => {
      await Promise.resolve();
      seen.push(trace.getSpanContext(context.active())?.traceId);
    },
    { settings: { start: "earliest" } },
  );
  const span = new TracerProvider().getTracer("test").startSpan("order");
  await context.with(trace.setSpan(context.active(), span), () => pubsub.publish("orders", { id: 1 }));
  await pubsub.publish("orders", { id: 2 });
  await until(() => seen.length === 2, "both events arrive");
  expect(new Set(seen)).toEqual(new Set([span.spanContext().traceId, undefined]));
});
