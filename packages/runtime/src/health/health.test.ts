import { createClient } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@mecha/api/health";
import { Health as ComponentHealth } from "@mecha/api/runtime";
import { StateService } from "@mecha/api/state";
import { createTransport } from "@mecha/rpc";
import { describe, expect, it } from "vitest";
import { callState, component, startRuntime, until } from "../../test/helpers.js";
import { testComponent } from "../../test/test-component.js";

describe("health", () => {
  it("follows the component, in GetInfo, /readyz, /metrics and grpc.health", async () => {
    const { definition, controls } = testComponent();
    const runtime = await startRuntime({
      components: [definition],
      resources: [component("db", { type: "test" })],
      healthIntervalMs: 5,
    });
    const health = createClient(Health, createTransport({ endpoint: runtime.endpoint }));
    const service = StateService.typeName;
    expect((await health.check({})).status).toBe(Status.SERVING);
    expect((await health.check({ service })).status).toBe(Status.SERVING);
    await expect(health.check({ service: "no.such.Service" })).rejects.toThrow(/no service "no.such.Service"/);

    const told: Status[] = [];
    const watching = (async () => {
      for await (const { status } of health.watch({ service })) told.push(status);
    })().catch(() => {});
    await until(() => told.length === 1, "the state is told");
    controls.health = () => Promise.reject(new Error("connection refused at 127.0.0.1:5432"));
    await until(() => told.length === 2, "the component is away");
    expect(runtime.info().components[0]).toMatchObject({
      health: ComponentHealth.UNHEALTHY,
      lastError: "connection refused at 127.0.0.1:5432",
    });
    expect(await (await fetch(`${runtime.endpoint}/readyz`)).json()).toEqual({
      status: "ready",
      unhealthyComponents: ["db"],
    });
    expect(await (await fetch(`${runtime.endpoint}/metrics`)).text()).toContain(
      'mecha_component_healthy{component="db",type="test"} 0',
    );
    controls.health = async () => {};
    await until(() => told.length === 3, "the component is back");
    expect(told).toEqual([Status.SERVING, Status.NOT_SERVING, Status.SERVING]);
    await runtime.close();
    await watching;
    expect(told.at(-1)).toBe(Status.NOT_SERVING);
  });

  it("metrics count calls by method and code", async () => {
    const { endpoint } = await startRuntime();
    await callState(endpoint, "Get", { key: "a" });
    await callState(endpoint, "Get", { key: "" });
    const text = await (await fetch(`${endpoint}/metrics`)).text();
    const labels = 'service="mecha.state.v1.StateService",method="Get"';
    expect(text).toContain(`mecha_rpc_duration_seconds_count{${labels},code="ok"} 1`);
    expect(text).toContain(`mecha_rpc_duration_seconds_count{${labels},code="invalid_argument"} 1`);
    expect(text).toMatch(/mecha_rpc_duration_seconds_bucket\{.*code="ok",le="\+Inf"\} 1/);
  });
});
