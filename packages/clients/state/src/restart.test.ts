import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { keepStore } from "../test/runtime.js";
import { createStateClient, type StateChange, type StateClient } from "./index.js";

// A runtime that is stopped and started again on the same data, behind a Unix socket; and what a client makes of that.

let directory: string;
let endpoint: string;
let store: Awaited<ReturnType<typeof keepStore>>;
let runtime: Awaited<ReturnType<typeof store.startRuntime>>;
const start = async () => {
  runtime = await store.startRuntime({ listen: { path: join(directory, "mecha.sock") }, dataDir: directory });
};
/** As abruptly as can be without ending this process: what is in flight is cut off. */
const stop = () => runtime.close({ deadlineMs: 0 });

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "mecha-restart-"));
  endpoint = `unix:${join(directory, "mecha.sock")}`;
  store = await keepStore();
  await start();
  return async () => {
    await stop();
    await store.close();
    await rm(directory, { recursive: true });
  };
});

describe("while the runtime restarts", () => {
  it("reads and writes wait for it, within their deadline", async () => {
    await using state = createStateClient({ endpoint });
    await state.set("a", 1);
    await stop();
    const calls = [state.get("a"), state.set("b", 2), state.listKeys().page()];
    await start();
    const [item] = await Promise.all(calls);
    expect(item).toMatchObject({ value: 1 });
    expect((await state.get("b"))?.value).toBe(2);
  });

  it("a call ends when its deadline does not allow another attempt, and says what is wrong", async () => {
    await using state = createStateClient({ endpoint });
    await stop();
    const before = performance.now();
    await expect(state.set("a", 1, { timeoutMs: 300 })).rejects.toMatchObject({
      code: "unavailable",
      reason: "RUNTIME_UNAVAILABLE",
      message: expect.stringContaining("is it running?"),
    });
    expect(performance.now() - before).toBeLessThan(2000);
  });

  it("a call can be canceled", async () => {
    await using state = createStateClient({ endpoint });
    await stop();
    const controller = new AbortController();
    const call = state.get("a", { signal: controller.signal });
    controller.abort();
    await expect(call).rejects.toMatchObject({ code: "canceled" });
  });
});

describe("a call that takes too long", () => {
  it("ends at its deadline", async () => {
    await using state = createStateClient({ endpoint, timeoutMs: 60_000 });
    const release = store.holdAnswers();
    await expect(state.set("a", 1, { timeoutMs: 50 })).rejects.toMatchObject({ code: "deadline_exceeded" });
    release();
  });

  it("ends when its caller cancels it, or its client is closed", async () => {
    const state = createStateClient({ endpoint });
    const release = store.holdAnswers();
    const controller = new AbortController();
    const canceled = expect(state.set("a", 1, { signal: controller.signal })).rejects.toMatchObject({
      code: "canceled",
    });
    const closed = expect(state.set("b", 1)).rejects.toMatchObject({ code: "canceled" });
    await vi.waitFor(() => expect(store.writes()).toBe(2), { timeout: 5000 });
    controller.abort();
    await canceled;
    await state.close();
    await closed;
    release();
  });
});

describe("a write whose answer is lost", () => {
  /** Waits until the write is done, and stops the runtime before it answers. */
  async function cutOffWhenDone() {
    const observer = createStateClient({ transport: runtime.transport });
    await vi.waitFor(async () => expect(await observer.get("a")).toBeDefined(), { timeout: 5000 });
    await stop();
  }

  it("throws OUTCOME_UNKNOWN: it may or may not have been done", async () => {
    await using state = createStateClient({ endpoint });
    const release = store.holdAnswers();
    const write = expect(state.set("a", 1)).rejects.toMatchObject({ code: "unknown", reason: "OUTCOME_UNKNOWN" });
    await cutOffWhenDone();
    await write;
    release();
    expect(store.writes()).toBe(1);
  });

  it.each([
    ["of its own", {}, { requestId: "r-1" }],
    ["from retryWrites", { retryWrites: true }, {}],
  ])("is done once and gets its answer, with a request id %s", async (_name, clientOptions, options) => {
    await using state = createStateClient({ endpoint, ...clientOptions });
    const release = store.holdAnswers();
    const write = state.set("a", 1, { ...options, ifAbsent: true });
    await cutOffWhenDone();
    release();
    await start();
    const { etag } = await write;
    expect(await state.get("a")).toMatchObject({ value: 1, etag });
    expect(store.writes()).toBe(2);
  });

  it("counts once in an update", async () => {
    await using state = createStateClient({ endpoint });
    const release = store.holdAnswers();
    const update = state.update<number>("a", (value = 0) => value + 1);
    await cutOffWhenDone();
    release();
    await start();
    expect(await update).toMatchObject({ value: 1 });
    expect((await state.get("a"))?.value).toBe(1);
  });
});

describe("a watch", () => {
  /** Writes through another runtime on the same store. */
  async function elsewhere(write: (state: StateClient) => Promise<unknown>) {
    await using other = await store.startRuntime({});
    await write(createStateClient({ transport: other.transport }));
  }

  /** A change in short: "a=1", "-a", "synced". */
  function short(change: StateChange<unknown>): string {
    if (change.type === "item") return `${change.item.key}=${String(change.item.value)}`;
    return change.type === "deleted" ? `-${change.key}` : change.type;
  }

  async function read(changes: AsyncIterator<StateChange<unknown>>, count: number) {
    const read: string[] = [];
    while (read.length < count) {
      const { value, done } = await changes.next();
      read.push(done ? "end" : short(value));
    }
    return read;
  }

  it("goes on where it was, with what was deleted meanwhile", async () => {
    await using state = createStateClient({ endpoint });
    await state.set("a", 1);
    await state.set("b", 1);
    await using watch = state.watch();
    const changes = watch[Symbol.asyncIterator]();
    expect(await read(changes, 3)).toEqual(["a=1", "b=1", "synced"]);
    await stop();
    await elsewhere(async (other) => {
      await other.set("c", 2);
      await other.delete("a");
    });
    await start();
    expect(await read(changes, 3)).toEqual(["c=2", "-a", "synced"]);
    await state.set("d", 3);
    expect(await read(changes, 1)).toEqual(["d=3"]);
  });

  it("can be gone on with by another one, with the resume token of a change", async () => {
    await using state = createStateClient({ endpoint });
    let resumeToken = "";
    for await (const change of state.watch()) {
      if (change.type !== "synced") continue;
      ({ resumeToken } = change);
      break;
    }
    await state.set("a", 1);
    await using watch = state.watch({ resumeToken });
    expect(await read(watch[Symbol.asyncIterator](), 2)).toEqual(["a=1", "synced"]);
  });

  it("begins again, and says so, when what it missed is no longer known", async () => {
    await using state = createStateClient({ endpoint });
    await state.set("a", 1);
    await using watch = state.watch();
    const changes = watch[Symbol.asyncIterator]();
    expect(await read(changes, 2)).toEqual(["a=1", "synced"]);
    await stop();
    await store.close();
    store = await keepStore();
    await elsewhere((other) => other.set("b", 2));
    await start();
    expect(await read(changes, 3)).toEqual(["reset", "b=2", "synced"]);
  });

  it("gives up when the runtime does not come back in time, or at once without retries", async () => {
    await using patient = createStateClient({ endpoint });
    await using hasty = createStateClient({ endpoint, retry: false });
    const watches = [patient.watch({ reconnectTimeoutMs: 200 }), hasty.watch()].map((w) => w[Symbol.asyncIterator]());
    for (const changes of watches) expect(await read(changes, 1)).toEqual(["synced"]);
    await stop();
    for (const changes of watches) await expect(changes.next()).rejects.toMatchObject({ code: "unavailable" });
  });

  it("can be closed while the runtime is away", async () => {
    await using state = createStateClient({ endpoint });
    await using watch = state.watch();
    const changes = watch[Symbol.asyncIterator]();
    expect(await read(changes, 1)).toEqual(["synced"]);
    await stop();
    const next = read(changes, 1);
    await watch.close();
    expect(await next).toEqual(["end"]);
  });
});
