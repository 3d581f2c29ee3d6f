import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { PubSubService } from "@mecha/api/pubsub";
import { StateService } from "@mecha/api/state";
import { memory } from "@mecha/component-memory";
import { SpanKind, SpanStatusCode } from "@opentelemetry/api";
import { InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { describe, expect, onTestFinished, test } from "vitest";
import { createRuntime } from "../runtime.js";

const traceId = "0af7651916cd43dd8448eb211c80319c";
const spanId = "b7ad6b7169203331";
const headers = { traceparent: `00-${traceId}-${spanId}-01` };

async function startTraced({ tracing = true } = {}) {
  const exporter = new InMemorySpanExporter();
  const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
  const runtime = await createRuntime({
    components: [memory],
    resources: [{ apiVersion: "mecha.dev/v1", kind: "Component", metadata: { name: "ram" }, spec: { type: "memory" } }],
    ...(tracing && { tracer: provider.getTracer("test") }),
  });
  onTestFinished(() => runtime.close({ deadlineMs: 100 }));
  return {
    state: createClient(StateService, runtime.transport),
    pubsub: createClient(PubSubService, runtime.transport),
    spans: () => exporter.getFinishedSpans(),
  };
}

function named(spans: readonly ReadableSpan[], name: string): ReadableSpan {
  const found = spans.filter((span) => span.name === name);
  expect(found, spans.map((span) => span.name).join(", ")).toHaveLength(1);
  return found[0] as ReadableSpan;
}

describe("a call", () => {
  test("is a span in its caller's trace, and what components do for it are spans below", async () => {
    const { state, spans } = await startTraced();
    await state.set({ key: "a", value: new Uint8Array([1]) }, { headers });
    const call = named(spans(), "mecha.state.v1.StateService/Set");
    expect(call.spanContext().traceId).toBe(traceId);
    expect(call.parentSpanContext?.spanId).toBe(spanId);
    expect(call.kind).toBe(SpanKind.SERVER);
    expect(call.attributes).toMatchObject({ "rpc.service": "mecha.state.v1.StateService", "rpc.method": "Set" });
    const work = named(spans(), "memory state.write");
    expect(work.parentSpanContext?.spanId).toBe(call.spanContext().spanId);
    expect(work.attributes).toEqual({
      "mecha.component": "ram",
      "mecha.component.type": "memory",
      "mecha.block": "state",
    });
  });

  test("without a trace begins one", async () => {
    const { state, spans } = await startTraced();
    await state.get({ key: "a" });
    expect(named(spans(), "mecha.state.v1.StateService/Get").parentSpanContext).toBeUndefined();
  });

  test("that fails bears its code; only what is wrong here is an error", async () => {
    const { state, spans } = await startTraced();
    const refused = await state.get({ key: "" }).catch((error: unknown) => ConnectError.from(error));
    expect(refused).toMatchObject({ code: Code.InvalidArgument });
    const span = named(spans(), "mecha.state.v1.StateService/Get");
    expect(span.attributes["rpc.connect_rpc.error_code"]).toBe("invalid_argument");
    expect(span.status.code).toBe(SpanStatusCode.UNSET);
  });

  test("that streams is a span until it ends", async () => {
    const { state, spans } = await startTraced();
    const leaving = new AbortController();
    const options = { headers, signal: leaving.signal };
    const watch = state.watch({ target: { case: "prefix", value: "" } }, options)[Symbol.asyncIterator]();
    await watch.next();
    expect(spans().map(({ name }) => name)).not.toContain("mecha.state.v1.StateService/Watch");
    leaving.abort();
    await expect
      .poll(
        () =>
          spans()
            .find(({ name }) => name === "mecha.state.v1.StateService/Watch")
            ?.spanContext().traceId,
      )
      .toBe(traceId);
  });
});

describe("an event", () => {
  /** What a consumer finds in an event's `traceparent`. */
  async function published(options: { headers?: Record<string, string>; extensions?: Record<string, string> }) {
    // Traces go through whether this runtime traces or not.
    const { pubsub } = await startTraced({ tracing: false });
    const open = { topic: "orders" };
    await pubsub.pull({ open });
    const { extensions = {} } = options;
    await pubsub.publish({ entry: { topic: "orders", event: { extensions } } }, { headers: options.headers ?? {} });
    const { deliveries } = await pubsub.pull({ open });
    return deliveries[0]?.event?.extensions.traceparent;
  }

  test("bears the trace of whoever published it", async () => {
    expect(await published({ headers })).toBe(headers.traceparent);
  });

  test("keeps the trace that it names itself", async () => {
    const own = `00-${traceId}-00f067aa0ba902b7-01`;
    expect(await published({ headers, extensions: { traceparent: own } })).toBe(own);
  });

  test("bears none where there is none, or none that is one", async () => {
    expect(await published({})).toBeUndefined();
    expect(await published({ headers: { traceparent: "00-nonsense" } })).toBeUndefined();
  });
});
