import { createManualClock, startComponent } from "@mecha/component/conformance";
import { memory } from "@mecha/component-memory";
import { expect, test } from "vitest";
import { createFaults } from "./faults.js";
import { withFaults } from "./faulty-component.js";

async function start() {
  const clock = createManualClock();
  const started: string[] = [];
  const { faults, line } = createFaults(() => started);
  const definition = withFaults(memory, line, (name) => started.push(name));
  const { blocks, health } = await startComponent(definition, {}, { clock, name: "db" });
  if (blocks.state === undefined || blocks.pubsub === undefined) throw new Error("memory serves both");
  return { clock, faults, state: blocks.state, pubsub: blocks.pubsub, health };
}

const { signal } = new AbortController();
const group = { keyspace: "test", topic: "orders", group: "shop/mail" };
const settings = {
  filter: "",
  ordered: false,
  start: { type: "new" },
  maxAttempts: 3,
  minBackoffMs: 100,
  maxBackoffMs: 1_000,
  ackTimeoutMs: 1_000,
} as const;

test("a call that no fault meets is answered as it is, at once", async () => {
  const { faults, state } = await start();
  faults.fail("db", { on: "state.write" });
  expect(state.get({ keyspace: "test", key: "none" })).toBeUndefined();
  expect(state.features).toEqual(memory.serves.state?.features);
});

test("what a call hands out to be called meets faults too", async () => {
  const { faults, pubsub } = await start();
  await pubsub.openGroup({ ...group, settings, defaults: settings, update: false });
  const source = pubsub.consume(group);
  const fault = faults.fail("db", { on: "pubsub.receive", times: 1 });
  const receive = { maxItems: 1, maxBytes: 1_024, leaseMs: 1_000, signal: AbortSignal.abort() };
  await expect(source.receive(receive)).rejects.toMatchObject({ reason: "COMPONENT_UNAVAILABLE" });
  expect(await source.receive(receive)).toEqual([]);
  expect(fault.hits).toBe(1);
  await source.close();
});

test("several faults meet one call: it waits for all delays, and fails once", async () => {
  const { clock, faults, state } = await start();
  faults.delay("db", "1s");
  faults.delay("db", "2s");
  const first = faults.fail("db", { reason: "RATE_LIMITED" });
  const second = faults.fail("db", { reason: "STORAGE_FULL" });
  const failing = Promise.resolve(state.get({ keyspace: "test", key: "key", signal }));
  const failed = expect(failing).rejects.toMatchObject({ reason: "RATE_LIMITED" });
  clock.advance(2_999);
  expect(clock.pending).toBe(1);
  clock.advance(1);
  await failed;
  expect([first.hits, second.hits]).toEqual([1, 0]);
});

test("a caller that goes while its call is delayed gets its reason, and the delay ends", async () => {
  const { clock, faults, state } = await start();
  faults.delay("db", "1s");
  const leaving = new AbortController();
  const call = Promise.resolve(state.get({ keyspace: "test", key: "key", signal: leaving.signal }));
  leaving.abort(new Error("gone"));
  await expect(call).rejects.toThrow("gone");
  expect(clock.pending).toBe(0);
});

test("only a fault for health makes a component unwell", async () => {
  const { faults, health } = await start();
  faults.fail("db");
  await health(signal);
  faults.fail("db", { on: "health", times: 1 });
  await expect(health(signal)).rejects.toThrow("the test says so");
  await health(signal);
});
