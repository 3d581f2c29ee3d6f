import { type Item, ItemSchema } from "@mecha/api/state";
import { beforeEach, describe, expect, expectTypeOf, it } from "vitest";
import { z } from "zod";
import { startRuntime } from "../test/runtime.js";
import { createStateClient, operation, type StateClient } from "./index.js";

const orderSchema = z.object({ total: z.number().min(0), currency: z.string().default("EUR") });

let state: StateClient;
beforeEach(async () => {
  const runtime = await startRuntime();
  state = createStateClient({ transport: runtime.transport });
  return async () => {
    await state.close();
    await runtime[Symbol.asyncDispose]();
  };
});

describe("a collection of a Standard Schema", () => {
  it("is typed by it: what may be written and what is read", async () => {
    const orders = state.collection("orders/", orderSchema);
    await orders.set("1", { total: 42 });
    const item = await orders.get("1");
    expectTypeOf(item?.value).toEqualTypeOf<{ total: number; currency: string } | undefined>();
    expect(item).toMatchObject({ key: "1", value: { total: 42, currency: "EUR" } });
    // @ts-expect-error a total is a number
    await expect(orders.set("2", { total: "42" })).rejects.toMatchObject({ reason: "BAD_REQUEST" });
  });

  it("keeps to its prefix", async () => {
    const orders = state.collection("orders/", orderSchema);
    await orders.set("1", { total: 1 });
    await state.set("other", { total: 2 });
    expect((await state.get("orders/1"))?.value).toEqual({ total: 1, currency: "EUR" });
    expect((await Array.fromAsync(orders.list())).map(({ key }) => key)).toEqual(["1"]);
    expect((await orders.getMany(["1", "other"])).map((item) => item?.key)).toEqual(["1", undefined]);
    expect(await orders.delete("1")).toEqual({ existed: true });
  });

  it("refuses to write and to read what does not fit", async () => {
    const orders = state.collection("orders/", orderSchema);
    await expect(orders.set("1", { total: -1 })).rejects.toMatchObject({
      reason: "BAD_REQUEST",
      message: expect.stringMatching(/^the value of "orders\/1": total: /),
    });
    await state.set("orders/1", { total: "42" });
    await expect(orders.get("1")).rejects.toMatchObject({ reason: "INVALID_VALUE", violations: [{ field: "total" }] });
  });

  it("takes no schema that could not read what it stored", () => {
    const length = z.string().transform((text) => text.length);
    // @ts-expect-error this schema takes strings and gives numbers
    state.collection("lengths/", length);
  });

  it("takes part in transactions", async () => {
    const orders = state.collection("orders/", orderSchema);
    const [order] = await state.transact([
      orders.operation.set("1", { total: 7 }, { ifAbsent: true }),
      operation.set("latest-order", "1"),
      orders.operation.check("0", { ifAbsent: true }),
      orders.operation.delete("2"),
    ]);
    expect(await orders.get("1")).toMatchObject({ etag: order.etag, value: { total: 7, currency: "EUR" } });
    await expect(state.transact([orders.operation.set("2", { total: -1 })])).rejects.toMatchObject({
      reason: "BAD_REQUEST",
    });
  });
});

it("a collection of a protobuf message stores protobuf and gives messages", async () => {
  const items = state.collection("items/", ItemSchema);
  await items.set("1", { key: "a", etag: "7" });
  const item = await items.get("1");
  expectTypeOf(item?.value).toEqualTypeOf<Item | undefined>();
  expect(item).toMatchObject({
    contentType: 'application/protobuf; messageType="mecha.state.v1.Item"',
    value: { $typeName: "mecha.state.v1.Item", key: "a", etag: "7" },
  });
  expect((await state.get("items/1"))?.value).toBeInstanceOf(Uint8Array);
});

describe("update", () => {
  it("creates what is not there and changes what is", async () => {
    const count = async () => state.update<number>("visits", (visits = 0) => visits + 1);
    expect((await count()).value).toBe(1);
    const { value, etag } = await count();
    expect(await state.get("visits")).toMatchObject({ value, etag });
    expect(value).toBe(2);
  });

  it("loses nothing of 64 writers at once", async () => {
    await Promise.all(Array.from({ length: 64 }, () => state.update<number>("visits", (visits = 0) => visits + 1)));
    expect((await state.get("visits"))?.value).toBe(64);
  });

  it("ends with what the function throws, and writes nothing", async () => {
    await state.set("stock", 0);
    const take = state.update<number>("stock", (stock = 0) => {
      if (stock === 0) throw new RangeError("sold out");
      return stock - 1;
    });
    await expect(take).rejects.toThrow(new RangeError("sold out"));
  });

  it("gives up at its deadline, with the conflict that kept it from writing", async () => {
    const contested = state.update<number>(
      "a",
      async () => {
        await state.set("a", Math.random());
        return 0;
      },
      { timeoutMs: 100 },
    );
    await expect(contested).rejects.toMatchObject({ reason: expect.stringMatching(/ETAG_MISMATCH|ALREADY_EXISTS/) });
  });
});
