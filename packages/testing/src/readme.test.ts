import { createStateClient } from "@mecha/state";
import { startTestRuntime } from "@mecha/testing";
import { expect, test } from "vitest";

test("a session ends after ten minutes", async () => {
  await using mecha = await startTestRuntime();
  const state = createStateClient({ transport: mecha.transport });

  await state.set("session", { user: "ada" }, { ttl: "10m" });
  mecha.clock.advance("9m");
  expect(await state.get("session")).toMatchObject({ value: { user: "ada" } });
  mecha.clock.advance("1m");
  expect(await state.get("session")).toBeUndefined();
});

test("an order survives a store that is away for a moment", async () => {
  await using mecha = await startTestRuntime({ names: ["orders-db"] });
  const state = createStateClient({ transport: mecha.transport });

  // The client tries again by itself; two calls fail, the third one writes.
  using fault = mecha.faults.fail("orders-db", { on: "state.write", times: 2 });
  await state.set("order-1", { total: 42 });
  expect(fault.hits).toBe(2);
});

test("a payment is booked once, even if the reply is lost", async () => {
  await using mecha = await startTestRuntime();
  const state = createStateClient({ transport: mecha.transport });

  mecha.faults.fail("default", { on: "state.write", times: 1, acts: true });
  await state.set("payment-7", { amount: 42 }, { ifAbsent: true, requestId: "payment-7" });
  expect(await state.get("payment-7")).toMatchObject({ value: { amount: 42 } });
});
