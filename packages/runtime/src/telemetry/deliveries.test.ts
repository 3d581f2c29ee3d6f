import { createManualClock } from "@mecha/component/conformance";
import { expect, test } from "vitest";
import { startApp } from "../../test/app.js";
import { component, startRuntime, until } from "../../test/helpers.js";
import { createDeliveryTelemetry } from "./deliveries.js";

test("deliveries are counted by how they ended, with how old events were at their first", () => {
  const clock = createManualClock();
  const telemetry = createDeliveryTelemetry(clock, undefined);
  const record = telemetry.of("pubsub", "events");
  const item = { time: clock.now() - 2_000, traceparent: undefined };
  const first = record.begin(item, 1);
  const second = record.begin(item, 2);
  record.end(first, "retry");
  record.settled("ack");
  const values = Object.fromEntries(
    telemetry.metrics().map(({ metric, labels, value }) => [`${metric.name} ${labels.outcome ?? ""}`, value]),
  );
  expect(values).toMatchObject({
    "mecha_deliveries_total ack": 1,
    "mecha_deliveries_total retry": 1,
    "mecha_deliveries_total dead": 0,
    "mecha_deliveries_in_flight ": 1,
  });
  const [series] = telemetry.lag.all;
  expect(series).toMatchObject({ labels: ["pubsub", "events"], sum: 2 });
  record.end(second, "ack");
  expect(telemetry.of("pubsub", "events")).toBe(record);
});

test("/metrics has what became of deliveries, how old events were, and how late the event loop was", async () => {
  const app = await startApp(({ url }) => (url === "/orders" ? 410 : 204));
  const runtime = await startRuntime({
    resources: [
      component("memory"),
      {
        apiVersion: "mecha.dev/v1",
        kind: "Subscription",
        metadata: { name: "orders" },
        spec: { topic: "orders", path: "/orders" },
      },
    ],
    appPort: app.port,
  });
  await fetch(`${runtime.endpoint}/publish/orders`, { method: "POST", body: "{}" });
  const scrape = async () => (await fetch(`${runtime.endpoint}/metrics`)).text();
  const dead = 'mecha_deliveries_total{block="pubsub",component="memory",outcome="dead"} 1';
  await until(async () => (await scrape()).includes(dead), "the event is a dead letter");
  const metrics = await scrape();
  expect(metrics).toContain('mecha_delivery_lag_seconds_count{block="pubsub",component="memory"} 1');
  expect(metrics).toMatch(/nodejs_eventloop_delay_seconds\{quantile="0.99"\} \d/);
});
