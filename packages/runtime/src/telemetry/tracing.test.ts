import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { Disposition, PubSubService } from "@mecha/api/pubsub";
import { StateService } from "@mecha/api/state";
import { memory } from "@mecha/component-memory";
import { SpanKind, SpanStatusCode } from "@opentelemetry/api";
import {
  AlwaysOnSampler,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import { describe, expect, onTestFinished, test } from "vitest";
import { startApp } from "../../test/app.js";
import { Conversation } from "../../test/conversation.js";
import type { RuntimeOptions } from "../options.js";
import { createRuntime } from "../runtime.js";

const traceId = "0af7651916cd43dd8448eb211c80319c";
const spanId = "b7ad6b7169203331";
const headers = { traceparent: `00-${traceId}-${spanId}-01` };

async function startTraced({
  tracing = true,
  resources = [],
  ...options
}: RuntimeOptions & { tracing?: boolean } = {}) {
  const exporter = new InMemorySpanExporter();
  const sampler = new AlwaysOnSampler();
  const provider = new TracerProvider({ sampler, spanProcessors: [new SimpleSpanProcessor({ exporter })] });
  const runtime = await createRuntime({
    components: [memory],
    resources: [
      { apiVersion: "mecha.dev/v1", kind: "Component", metadata: { name: "ram" }, spec: { type: "memory" } },
      ...resources,
    ],
    ...options,
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

  test.each([true, false])(
    "in a trace that nobody records is the tracer's to judge: traceUnsampled %s",
    async (asked) => {
      const { state, spans } = await startTraced({ traceUnsampled: asked });
      const unsampled = { headers: { traceparent: headers.traceparent.replace(/1$/, "0") } };
      await state.get({ key: "a" }, unsampled);
      const leaving = new AbortController();
      const options = { ...unsampled, signal: leaving.signal };
      await state
        .watch({ target: { case: "prefix", value: "" } }, options)
        [Symbol.asyncIterator]()
        .next();
      leaving.abort();
      await state.set({ key: "a" }, { headers });
      await expect.poll(() => spans().filter(({ kind }) => kind === SpanKind.SERVER)).toHaveLength(asked ? 3 : 1);
      const work = spans().filter(({ name }) => name.startsWith("memory "));
      expect(work.length > 1, work.map(({ name }) => name).join()).toBe(asked);
    },
  );

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

describe("a delivery", () => {
  test("is a span in its event's trace until it is settled, one for each attempt, with how it ended", async () => {
    const { pubsub, spans } = await startTraced();
    const conversation = new Conversation(pubsub, { case: "open", value: { topic: "orders" } });
    await conversation.hear();
    await pubsub.publish({ entry: { topic: "orders", event: {} } }, { headers });
    const [tried] = await conversation.deliveries();
    expect(spans().map(({ name }) => name)).not.toContain("ram deliver");
    const retryAfter = { seconds: 0n, nanos: 1_000_000 };
    const deliveryIds = [tried?.deliveryId ?? ""];
    conversation.say({ case: "ack", value: { deliveryIds, disposition: Disposition.RETRY, retryAfter } });
    await conversation.results();
    const [again] = await conversation.deliveries();
    conversation.ack(again?.deliveryId ?? "");
    await conversation.results();
    const [first, second] = spans().filter(({ name }) => name === "ram deliver");
    expect(first?.spanContext().traceId).toBe(traceId);
    expect(first?.parentSpanContext?.spanId).toBe(spanId);
    expect(first?.kind).toBe(SpanKind.CONSUMER);
    expect(first?.attributes).toEqual({
      "mecha.component": "ram",
      "mecha.block": "pubsub",
      "mecha.attempt": 1,
      "mecha.outcome": "retry",
    });
    expect(first?.status.code).toBe(SpanStatusCode.ERROR);
    expect(second?.attributes).toMatchObject({ "mecha.attempt": 2, "mecha.outcome": "ack" });
  });

  test("by push is what the app's own spans continue", async () => {
    const app = await startApp();
    const subscription = {
      apiVersion: "mecha.dev/v1" as const,
      kind: "Subscription",
      metadata: { name: "orders" },
      spec: { topic: "orders", path: "/orders" },
    };
    const { pubsub, spans } = await startTraced({ resources: [subscription], appPort: app.port });
    await pubsub.publish({ entry: { topic: "orders", event: {} } }, { headers });
    await expect.poll(() => spans().filter(({ name }) => name === "ram deliver").length).toBe(1);
    const span = named(spans(), "ram deliver");
    expect(span.spanContext().traceId).toBe(traceId);
    expect(app.received[0]?.headers.traceparent).toBe(`00-${traceId}-${span.spanContext().spanId}-01`);
  });
});
