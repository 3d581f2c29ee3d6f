import { type Client, createClient } from "@connectrpc/connect";
import { PubSubService } from "@mecha/api/pubsub";
import { createManualClock } from "@mecha/component/conformance";
import { beforeEach, describe, expect, expectTypeOf, it } from "vitest";
import { z } from "zod";
import { startRuntime } from "../test/runtime.js";
import { createStateClient, MechaError, operation, type StateClient, type StateItem } from "./index.js";

interface Order {
  total: number;
}

let state: StateClient;
let pubsub: Client<typeof PubSubService>;
let clock: ReturnType<typeof createManualClock>;
beforeEach(async () => {
  clock = createManualClock();
  const runtime = await startRuntime({ clock });
  state = createStateClient({ transport: runtime.transport });
  pubsub = createClient(PubSubService, runtime.transport);
  return async () => {
    await state.close();
    await runtime[Symbol.asyncDispose]();
  };
});

describe("get, set, delete", () => {
  it("reads what was written, and undefined where nothing was", async () => {
    const { etag } = await state.set("order-1", { total: 42 });
    const item = await state.get<Order>("order-1");
    expectTypeOf(item).toEqualTypeOf<StateItem<Order> | undefined>();
    expect(item).toMatchObject({
      key: "order-1",
      value: { total: 42 },
      etag,
      contentType: "application/json",
      expireTime: undefined,
    });
    expect(item?.updateTime).toEqual(new Date(clock.now()));
    expect(await state.get("order-2")).toBeUndefined();
    expect(await state.delete("order-1")).toEqual({ existed: true });
    expect(await state.delete("order-1")).toEqual({ existed: false });
  });

  it("knows an empty value from none", async () => {
    await state.set("empty", new Uint8Array());
    expect(await state.get("empty")).toMatchObject({
      value: new Uint8Array(),
      contentType: "application/octet-stream",
    });
    await state.set("null", null);
    expect(await state.get("null")).toMatchObject({ value: null });
  });

  it("reads many in one call: for each key its item or undefined", async () => {
    await state.set("a", 1);
    await state.set("b", 2);
    const items = await state.getMany<number>(["b", "missing", "a", "b"]);
    expect(items.map((item) => item?.value)).toEqual([2, undefined, 1, 2]);
    expect(await state.getMany([])).toEqual([]);
  });

  it("lets an item expire, and forgets its expiry when it is written without one", async () => {
    await state.set("session", 1, { ttl: "10m" });
    await state.set("kept", 1, { ttl: "10m" });
    await state.set("kept", 2);
    const item = await state.get("session");
    expect(Number(item?.expireTime) - Number(item?.updateTime)).toBe(600_000);
    expect((await state.get("kept"))?.expireTime).toBeUndefined();
    clock.advance(600_000);
    expect(await state.get("session")).toBeUndefined();
    expect((await state.get("kept"))?.value).toBe(2);
  });

  it("throws the runtime's error, its violations included", async () => {
    const error = await state.set("k".repeat(513), 1).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(MechaError);
    expect(error).toMatchObject({ code: "invalid_argument", reason: "BAD_REQUEST", violations: [{ field: "key" }] });
    await expect(state.get("a", { store: "nowhere" })).rejects.toMatchObject({ reason: "COMPONENT_NOT_FOUND" });
  });
});

describe("preconditions", () => {
  it("writes only what nobody changed meanwhile", async () => {
    const { etag } = await state.set("a", 1);
    await state.set("a", 2, { ifMatch: etag });
    await expect(state.set("a", 3, { ifMatch: etag })).rejects.toMatchObject({
      code: "aborted",
      reason: "ETAG_MISMATCH",
    });
    await expect(state.delete("a", { ifMatch: etag })).rejects.toMatchObject({ reason: "ETAG_MISMATCH" });
    expect((await state.get("a"))?.value).toBe(2);
  });

  it("creates only, or replaces only", async () => {
    await expect(state.set("a", 1, { ifExists: true })).rejects.toMatchObject({ reason: "NOT_EXISTS" });
    await state.set("a", 1, { ifAbsent: true });
    await expect(state.set("a", 2, { ifAbsent: true })).rejects.toMatchObject({ reason: "ALREADY_EXISTS" });
    await state.set("a", 3, { ifExists: true });
  });

  it.each([
    ["an etag that got lost", { ifMatch: undefined }, "ifMatch"],
    ["an empty etag", { ifMatch: "" }, "ifMatch"],
    ["ifAbsent: undefined", { ifAbsent: undefined }, "ifAbsent"],
    ["ifExists: false", { ifExists: false }, "ifExists"],
    ["two at once", { ifMatch: "1", ifAbsent: true }, "ifAbsent"],
  ])("refuses %s instead of writing without a check", async (_name, options, field) => {
    await expect(state.set("a", 1, options as { ifAbsent: true })).rejects.toMatchObject({
      reason: "BAD_REQUEST",
      violations: [{ field }],
    });
    expect(await state.get("a")).toBeUndefined();
    await expect(state.transact([operation.set("a", 1, options as { ifAbsent: true })])).rejects.toMatchObject({
      reason: "BAD_REQUEST",
    });
  });
});

describe("transact", () => {
  it("does all operations and says what each did", async () => {
    await state.set("customer-3", { name: "Ada" });
    const results = await state.transact([
      operation.set("order-1", { total: 42 }, { ifAbsent: true, ttl: "1h" }),
      operation.delete("cart-7"),
      operation.check("customer-3", { ifExists: true }),
    ]);
    expectTypeOf(results).toEqualTypeOf<[{ readonly etag: string }, { readonly existed: boolean }, undefined]>();
    expect(results).toEqual([{ etag: (await state.get("order-1"))?.etag }, { existed: false }, undefined]);
  });

  it("does nothing if one precondition does not hold, and names the operation", async () => {
    const failing = state.transact([operation.set("a", 1), operation.check("b", { ifExists: true })]);
    await expect(failing).rejects.toMatchObject({ reason: "NOT_EXISTS", metadata: { operation_index: "1" } });
    expect(await state.get("a")).toBeUndefined();
  });
});

it("returns the first answer when a write is sent again with its request id", async () => {
  const first = await state.set("a", 1, { requestId: "r-1" });
  const again = await state.set("a", 1, { requestId: "r-1" });
  expect(again).toEqual(first);
});

describe("publishing within a transaction", () => {
  const pull = async (topic: string) => (await pubsub.pull({ open: { topic }, wait: { seconds: 5n } })).deliveries;

  it("publishes what publish of @mecha/pubsub would, and says the event's id", async () => {
    await pubsub.pull({ open: { topic: "orders" } });
    const results = await state.transact([
      operation.publish(
        "orders",
        { total: 42 },
        { id: "1", type: "order.placed", extensions: { traceparent: "00-1" }, orderingKey: "order-1" },
      ),
      operation.set("order-1", { total: 42 }),
      operation.publish("orders"),
    ]);
    expectTypeOf(results).toEqualTypeOf<
      [{ readonly eventId: string }, { readonly etag: string }, { readonly eventId: string }]
    >();
    const deliveries = await pull("orders");
    expect(deliveries.map(({ event }) => event?.id)).toEqual([results[0].eventId, results[2].eventId]);
    expect(results[0].eventId).toBe("1");
    expect(deliveries[0]).toMatchObject({
      orderingKey: "order-1",
      event: {
        type: "order.placed",
        source: "/ns/default/app/app",
        dataContentType: "application/json",
        extensions: { traceparent: "00-1" },
      },
    });
    expect(new TextDecoder().decode(deliveries[0]?.event?.data)).toBe('{"total":42}');
  });

  it("publishes nothing if the transaction is refused, and data that does not fit its schema refuses it", async () => {
    await pubsub.pull({ open: { topic: "orders" } });
    const schema = z.object({ total: z.number() });
    const wrong = operation.publish("orders", { total: "much" }, { schema });
    await expect(state.transact([operation.set("a", 1), wrong])).rejects.toMatchObject({ reason: "BAD_REQUEST" });
    const refused = [operation.publish("orders", 1), operation.check("a", { ifExists: true })] as const;
    await expect(state.transact(refused)).rejects.toMatchObject({
      reason: "NOT_EXISTS",
      metadata: { operation_index: "1" },
    });
    await state.transact([operation.publish("orders", { total: 1 }, { schema })]);
    expect((await pull("orders")).map(({ event }) => new TextDecoder().decode(event?.data))).toEqual(['{"total":1}']);
  });

  it("publishes once what is sent again with its request id", async () => {
    await pubsub.pull({ open: { topic: "orders" } });
    const operations = () => [operation.set("a", 1), operation.publish("orders", 1)] as const;
    const first = await state.transact(operations(), { requestId: "1" });
    expect(await state.transact(operations(), { requestId: "1" })).toEqual(first);
    await state.transact([operation.publish("orders", 2)], { requestId: "2" });
    expect(await pull("orders")).toHaveLength(2);
  });
});

describe("a call's options", () => {
  it("cancel it", async () => {
    await expect(state.get("a", { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "canceled" });
  });

  it("are checked", async () => {
    await expect(state.get("a", { timeoutMs: 0 })).rejects.toMatchObject({ violations: [{ field: "timeoutMs" }] });
    await expect(state.set("a", 1, { ttl: "soon" as "1s" })).rejects.toMatchObject({ violations: [{ field: "ttl" }] });
  });
});
