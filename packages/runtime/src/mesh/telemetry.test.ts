import type { RequestListener } from "node:http";
import { SpanKind, SpanStatusCode } from "@opentelemetry/api";
import {
  AlwaysOffSampler,
  InMemorySpanExporter,
  ParentBasedSampler,
  type ReadableSpan,
  SimpleSpanProcessor,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import { expect, test } from "vitest";
import { until } from "../../test/helpers.js";
import { createLog } from "../../test/log.js";
import { startPair } from "../../test/mesh.js";
import type { ResourceObject, RuntimeOptions } from "../index.js";

const traceId = "0af7651916cd43dd8448eb211c80319c";
const traceparent = `00-${traceId}-b7ad6b7169203331-01`;

const retry: ResourceObject = {
  apiVersion: "mecha.dev/v1",
  kind: "Policy",
  metadata: { name: "retry" },
  spec: { target: { app: "orders" }, retry: { maxAttempts: 3, backoff: { min: "1ms", max: "1ms" }, on: [503] } },
};

/** "shop" and "orders", both traced, and the spans of the trace of this test. */
async function startTraced(handle: RequestListener, shop: RuntimeOptions = {}) {
  const exporter = new InMemorySpanExporter();
  const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
  const tracer = provider.getTracer("test");
  const pair = await startPair(handle, { shop: { tracer, ...shop }, orders: { tracer } });
  const spans = () => exporter.getFinishedSpans().filter((span) => span.spanContext().traceId === traceId);
  return { ...pair, spans };
}

const idOf = (span: ReadableSpan | undefined) => span?.spanContext().spanId;

test("a call is one trace through both runtimes and the app: the call, its attempt, and what serves it", async () => {
  let got: string | undefined;
  const { url, spans } = await startTraced((request, response) => {
    got = String(request.headers.traceparent);
    response.end();
  });
  await fetch(`${url}/orders/7?token=secret`, { headers: { traceparent } });
  await until(() => spans().length === 3, "three spans");
  const find = (name: string) => spans().find((span) => span.name === name);
  const [call, attempt, serve] = [find("call orders"), find("attempt orders"), find("serve shop")];
  expect(call?.parentSpanContext?.spanId).toBe("b7ad6b7169203331");
  expect(call?.kind).toBe(SpanKind.SERVER);
  expect(call?.attributes).toEqual({
    "mecha.from": "shop",
    "mecha.to": "orders",
    "http.request.method": "GET",
    "url.path": "/orders/7",
    "http.response.status_code": 200,
  });
  expect(attempt?.parentSpanContext?.spanId).toBe(idOf(call));
  expect(attempt?.kind).toBe(SpanKind.CLIENT);
  expect(serve?.parentSpanContext?.spanId).toBe(idOf(attempt));
  expect(got).toBe(`00-${traceId}-${idOf(serve)}-01`);
});

test.each([
  ["asked", true],
  ["not asked", false],
])("a call that nobody records has no span, and its trace goes on all the same, the tracer %s", async (_, asked) => {
  const exporter = new InMemorySpanExporter();
  const provider = new TracerProvider({
    sampler: new ParentBasedSampler({ root: new AlwaysOffSampler() }),
    spanProcessors: [new SimpleSpanProcessor({ exporter })],
  });
  const tracer = provider.getTracer("test");
  const got: string[] = [];
  const answer: RequestListener = (request, response) => {
    got.push(String(request.headers.traceparent));
    response.end();
  };
  const traced = { tracer, traceUnsampled: asked };
  const { url } = await startPair(answer, { shop: traced, orders: traced });
  await fetch(`${url}/x`);
  expect(got).toEqual([expect.stringMatching(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/)]);
  const unsampled = traceparent.replace(/1$/, "0");
  await fetch(`${url}/x`, { headers: { traceparent: unsampled } });
  expect(got[1]).toEqual(asked ? expect.stringMatching(new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`)) : unsampled);
  await fetch(`${url}/x`, { headers: { traceparent } });
  await until(() => exporter.getFinishedSpans().length === 3, "the spans of the call that is recorded");
  expect(exporter.getFinishedSpans().every((span) => span.spanContext().traceId === traceId)).toBe(true);
});

test("each attempt of a call is a span below it, and only the call's own end is the call's", async () => {
  let count = 0;
  const { url, spans } = await startTraced(
    (_, response) => {
      count += 1;
      response.writeHead(count < 3 ? 503 : 200).end();
    },
    { resources: [retry] },
  );
  expect((await fetch(`${url}/x`, { headers: { traceparent } })).status).toBe(200);
  await until(() => spans().length === 7, "one call, three attempts, served three times");
  const [call] = spans().filter(({ name }) => name === "call orders");
  const attempts = spans().filter(({ name }) => name === "attempt orders");
  expect(
    attempts.map(({ attributes }) => [attributes["mecha.attempt"], attributes["http.response.status_code"]]),
  ).toEqual([
    [1, 503],
    [2, 503],
    [3, 200],
  ]);
  expect(attempts.map(({ status }) => status.code)).toEqual([
    SpanStatusCode.ERROR,
    SpanStatusCode.ERROR,
    SpanStatusCode.UNSET,
  ]);
  expect(attempts.every(({ parentSpanContext }) => parentSpanContext?.spanId === idOf(call))).toBe(true);
  expect(call?.attributes["http.response.status_code"]).toBe(200);
});

test("calls are counted by who, whom and status, and those under way on either side", async () => {
  const held: (() => void)[] = [];
  const { url, shop, orders } = await startPair((request, response) => {
    if (request.url === "/hold") held.push(() => response.end());
    else response.writeHead(418).end();
  });
  await fetch(`${url}/x`);
  const scrape = async (runtime: { endpoint: string }) => (await fetch(`${runtime.endpoint}/metrics`)).text();
  const series = (direction: string) =>
    `mecha_call_duration_seconds_count{direction="${direction}",from="shop",to="orders",status="418"} 1`;
  expect(await scrape(shop)).toContain(series("outgoing"));
  await until(async () => (await scrape(orders)).includes(series("incoming")), "counted at the other side");
  const holding = fetch(`${url}/hold`);
  await until(() => held.length === 1, "the app has it");
  expect(await scrape(shop)).toContain('mecha_app_calls_in_flight{direction="outgoing"} 1');
  expect(await scrape(orders)).toContain('mecha_app_calls_in_flight{direction="incoming"} 1');
  held[0]?.();
  await holding;
  await until(
    async () => (await scrape(orders)).includes('mecha_app_calls_in_flight{direction="incoming"} 0'),
    "none is under way",
  );
});

test("a caller that leaves and an answer that breaks off are counted as such", async () => {
  const { url, shop } = await startPair((request, response) => {
    if (request.url !== "/break") return;
    response.writeHead(200).write("x");
    setImmediate(() => response.destroy());
  });
  const leaving = new AbortController();
  const left = fetch(`${url}/hang`, { signal: leaving.signal }).catch(() => {});
  await expect(fetch(`${url}/break`).then((response) => response.text())).rejects.toThrow();
  leaving.abort();
  await left;
  const count = (status: string) =>
    `mecha_call_duration_seconds_count{direction="outgoing",from="shop",to="orders",status="${status}"} 1`;
  const scrape = async () => (await fetch(`${shop.endpoint}/metrics`)).text();
  await until(async () => (await scrape()).includes(count("none")), "one left");
  await until(async () => (await scrape()).includes(count("broken")), "one broke off");
});

test("the access log has a line for each call, without what may be secret", async () => {
  const { lines, logger } = createLog();
  const { url } = await startPair((_, response) => response.writeHead(201).end(), {
    shop: { accessLog: true, logger },
  });
  await fetch(`${url}/orders/7?token=secret`, { method: "POST", headers: { traceparent, authorization: "Bearer x" } });
  const line = () => lines.find((text) => text.startsWith("access") && text.includes("/orders/7"));
  await until(() => line() !== undefined, "logged");
  expect(JSON.parse(String(line()).slice("access ".length))).toEqual({
    direction: "outgoing",
    from: "shop",
    to: "orders",
    method: "POST",
    path: "/orders/7",
    status: 201,
    durationMs: expect.any(Number),
    traceId,
  });
  expect(lines.join()).not.toMatch(/secret|Bearer/);
});

test("how long a call may take goes along to the app, and ends it there", async () => {
  let closed = false;
  let left = Number.NaN;
  const { url } = await startPair(
    (request, response) => {
      left = Number(request.headers["mecha-timeout-ms"]);
      response.once("close", () => {
        closed = true;
      });
    },
    {
      shop: {
        resources: [
          { ...retry, spec: { target: { app: "orders" }, match: { paths: ["/x"] }, timeout: { total: "300ms" } } },
        ],
      },
    },
  );
  expect((await fetch(`${url}/x`)).status).toBe(504);
  expect(left).toBeGreaterThan(0);
  expect(left).toBeLessThanOrEqual(300);
  await until(() => closed, "the app's call has ended");
});
