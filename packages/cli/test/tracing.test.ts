import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { start } from "./cli.js";

let cwd: string;
beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), "mecha-tracing-"));
});
afterAll(() => rm(cwd, { recursive: true }));

const traceId = "0af7651916cd43dd8448eb211c80319c";

/** An OpenTelemetry collector that keeps what it is sent. */
async function startCollector() {
  const received: Buffer[] = [];
  const server = createServer(async (request, response) => {
    if (request.url === "/v1/traces") received.push(await buffer(request));
    response.end();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received: () => Buffer.concat(received),
    [Symbol.dispose]: () => void server.close(),
  };
}

describe("with OTEL_EXPORTER_OTLP_ENDPOINT", () => {
  it("sends spans of what apps call, the last ones when it stops", async () => {
    using collector = await startCollector();
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url };
    await using serve = start(["serve", "--app-id", "shop", "--port", "0"], { cwd, env });
    const [, endpoint] = await serve.output(/"endpoint":"(http[^"]+)"/);
    const headers = { traceparent: `00-${traceId}-b7ad6b7169203331-01`, "content-type": "application/json" };
    const call = { method: "POST", headers, body: '{"key":"a"}' };
    expect((await fetch(`${endpoint}/mecha.state.v1.StateService/Get`, call)).status).toBe(200);
    serve.child.kill("SIGTERM");
    expect((await serve.ended).code).toBe(0);
    const sent = collector.received();
    expect(sent.includes(Buffer.from(traceId, "hex"))).toBe(true);
    for (const text of ["mecha.state.v1.StateService/Get", "sqlite state.get", "shop-mecha"]) {
      expect(sent.includes(text), text).toBe(true);
    }
  });

  it("sends as many spans at a time as OTEL_BSP_MAX_EXPORT_BATCH_SIZE says, without waiting for more", async () => {
    using collector = await startCollector();
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "1",
      OTEL_BSP_SCHEDULE_DELAY: "60000",
    };
    await using serve = start(["serve", "--app-id", "shop", "--port", "0"], { cwd, env });
    const [, endpoint] = await serve.output(/"endpoint":"(http[^"]+)"/);
    await fetch(`${endpoint}/mecha.state.v1.StateService/Get`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"key":"a"}',
    });
    await vi.waitFor(() => expect(collector.received().includes("mecha.state.v1.StateService/Get")).toBe(true), 4_000);
  });

  it("stops in time when the collector is away", async () => {
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1" };
    await using serve = start(["serve", "--app-id", "shop", "--port", "0"], { cwd, env });
    const [, endpoint] = await serve.output(/"endpoint":"(http[^"]+)"/);
    await fetch(`${endpoint}/state/a`);
    serve.child.kill("SIGTERM");
    expect((await serve.ended).code).toBe(0);
  });

  it.each([
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: "collector" }, /"collector", which is no URL/],
    [{ OTEL_TRACES_SAMPLER: "sometimes" }, /OTEL_TRACES_SAMPLER is "sometimes"; it must be one of always_on/],
    [
      { OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "many" },
      /OTEL_BSP_MAX_EXPORT_BATCH_SIZE is "many"; it must be a whole number above 0/,
    ],
    [{ OTEL_TRACES_SAMPLER_ARG: "2" }, /OTEL_TRACES_SAMPLER_ARG is "2"; it must be a number from 0 to 1/],
  ])("refuses %j before it starts", async (wrong, message) => {
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:4318", ...wrong };
    await using serve = start(["serve", "--app-id", "shop", "--port", "0"], { cwd, env });
    const { code, stderr } = await serve.ended;
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });
});
