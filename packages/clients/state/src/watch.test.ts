import { createManualClock } from "@mecha/component/conformance";
import { beforeEach, describe, expect, expectTypeOf, it } from "vitest";
import { z } from "zod";
import { startRuntime } from "../test/runtime.js";
import { createStateClient, type StateChange, type StateClient, type StateWatch } from "./index.js";

let state: StateClient;
let clock: ReturnType<typeof createManualClock>;
beforeEach(async () => {
  clock = createManualClock();
  const runtime = await startRuntime({ clock });
  state = createStateClient({ transport: runtime.transport });
  return async () => {
    await state.close();
    await runtime[Symbol.asyncDispose]();
  };
});

/** A change in short: "a=1", "-a", "synced". */
function short(change: StateChange<unknown>): string {
  if (change.type === "item") return `${change.item.key}=${String(change.item.value)}`;
  return change.type === "deleted" ? `-${change.key}` : change.type;
}

/** Reads one change after the other. */
function reader(watch: StateWatch<unknown>) {
  const changes = watch[Symbol.asyncIterator]();
  return async () => {
    const { value, done } = await changes.next();
    return done ? "end" : short(value);
  };
}

it("reports what is there, then synced, then what changes", async () => {
  await state.set("n/1", 1);
  await state.set("m", 0);
  await using watch = state.watch({ prefix: "n/" });
  const next = reader(watch);
  expect([await next(), await next()]).toEqual(["n/1=1", "synced"]);
  await state.set("n/2", 2);
  expect(await next()).toBe("n/2=2");
  await state.set("m", 1);
  await state.delete("n/1");
  expect(await next()).toBe("-n/1");
});

it("tells what ran out of time from what was deleted", async () => {
  await state.set("session", 1, { ttl: "10m" });
  await using watch = state.watch();
  const changes = watch[Symbol.asyncIterator]();
  await changes.next();
  await changes.next();
  clock.advance(600_000);
  expect((await changes.next()).value).toMatchObject({ type: "deleted", key: "session", expired: true });
});

it("watches a collection: its keys without their prefix, its values typed", async () => {
  const orders = state.collection("orders/", z.object({ total: z.number() }));
  await using watch = orders.watch();
  const changes = watch[Symbol.asyncIterator]();
  expect((await changes.next()).value).toMatchObject({ type: "synced" });
  await state.set("other", 1);
  await orders.set("1", { total: 7 });
  const { value } = await changes.next();
  if (value?.type !== "item") throw new Error(`expected an item, got ${value?.type}`);
  expectTypeOf(value.item.value).toEqualTypeOf<{ total: number }>();
  expect(value.item).toMatchObject({ key: "1", value: { total: 7 } });
  await orders.delete("1");
  expect((await changes.next()).value).toMatchObject({ type: "deleted", key: "1", expired: false });
  await state.set("orders/2", { total: "many" });
  await expect(changes.next()).rejects.toMatchObject({ reason: "INVALID_VALUE" });
});

it("watches one key", async () => {
  await using one = state.watch({ key: "n/1" });
  const nextOfOne = reader(one);
  expect(await nextOfOne()).toBe("synced");
  await state.set("n/10", 10);
  await state.set("n/1", 1);
  expect(await nextOfOne()).toBe("n/1=1");
});

describe("ends", () => {
  it("when it is closed, also while it waits", async () => {
    const watch = state.watch();
    const next = reader(watch);
    expect(await next()).toBe("synced");
    const waiting = next();
    await watch.close();
    expect(await waiting).toBe("end");
  });

  it("when its client is closed", async () => {
    const next = reader(state.watch());
    expect(await next()).toBe("synced");
    const waiting = next();
    await state.close();
    expect(await waiting).toBe("end");
  });

  it("with an error when its signal aborts", async () => {
    const controller = new AbortController();
    const next = reader(state.watch({ signal: controller.signal }));
    expect(await next()).toBe("synced");
    const waiting = next();
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ code: "canceled" });
  });
});
