import { beforeEach, describe, expect, it } from "vitest";
import { startRuntime } from "../test/runtime.js";
import { createStateClient, type StateChange, type StateClient, type StateWatch } from "./index.js";

let state: StateClient;
beforeEach(async () => {
  const runtime = await startRuntime();
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

it("watches one key, and every key of a collection without its prefix", async () => {
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
