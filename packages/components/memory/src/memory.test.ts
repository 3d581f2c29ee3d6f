import { readFile } from "node:fs/promises";
import { type StateOperation, type StateStore, withOptionsTable } from "@mecha/component";
import { createManualClock, startComponent } from "@mecha/component/conformance";
import { expect, test } from "vitest";
import { memory } from "./index.js";

const keyspace = "test";

async function open(config: { maxBytes?: number; history?: number } = {}) {
  const clock = createManualClock();
  const component = await startComponent(memory, config, { clock });
  const store = component.blocks.state as StateStore;
  const write = async (operations: StateOperation[], requestId?: { id: string; fingerprint: string }) =>
    store.write({ keyspace, operations, requestId });
  return {
    clock,
    component,
    store,
    write,
    set: (key: string, bytes = 0, ttlMs?: number) => write([set(key, bytes, ttlMs)]),
    remove: (key: string) => write([{ type: "delete", key, precondition: undefined }]),
    get: async (key: string) => store.get({ keyspace, key }),
  };
}

const set = (key: string, bytes = 0, ttlMs?: number): StateOperation => ({
  type: "set",
  key,
  value: new Uint8Array(bytes),
  contentType: "",
  ttlMs,
  precondition: undefined,
});

const mebibyte = 1024 * 1024;

test("a full store refuses what needs more and does none of it; deleting, replacing and expiring make room", async () => {
  const store = await open({ maxBytes: 2 * mebibyte });
  await store.set("a", mebibyte);
  await store.set("b", mebibyte / 2, 60_000);
  await expect(store.write([set("c"), set("d", mebibyte)])).rejects.toMatchObject({ reason: "STORAGE_FULL" });
  expect(await store.get("c")).toBeUndefined();
  await store.set("a", mebibyte);
  store.clock.advance(60_000);
  await store.set("d", mebibyte / 2);
  await expect(store.set("e", mebibyte)).rejects.toMatchObject({ reason: "STORAGE_FULL" });
  await store.remove("a");
  await store.set("e", mebibyte);
});

test("what is remembered of requests counts, and is let go after its time", async () => {
  const store = await open({ maxBytes: mebibyte });
  const fill = async () => {
    for (let id = 0; id < 10_000; id++)
      await store.write([set("key")], { id: `${store.clock.now()}-${id}`, fingerprint: "f" });
  };
  await expect(fill()).rejects.toMatchObject({ reason: "STORAGE_FULL" });
  store.clock.advance(10 * 60_000);
  await store.set("key", 1);
});

test("a small value does not keep the message that it came in", async () => {
  const store = await open();
  const message = new Uint8Array(mebibyte);
  await store.write([{ ...set("key"), value: message.subarray(0, 10) } as StateOperation]);
  expect((await store.get("key"))?.value.buffer.byteLength).toBe(10);
});

test("a watcher that did not read falls behind by deletions only, and then says so", async () => {
  const store = await open({ history: 10 });
  const { signal } = new AbortController();
  const batches = store.store
    .watch({ keyspace, target: { prefix: "" }, resumeToken: undefined, signal })
    [Symbol.asyncIterator]();
  expect((await batches.next()).value).toMatchObject([{ type: "synced" }]);
  for (let key = 0; key < 100; key++) await store.set(`key-${key}`);
  for (let key = 0; key < 10; key++) await store.remove(`key-${key}`);
  expect((await batches.next()).value).toHaveLength(100);
  for (let key = 10; key < 22; key++) await store.remove(`key-${key}`);
  await expect(batches.next()).rejects.toMatchObject({ reason: "RESUME_EXPIRED" });
});

test("a resume token of an earlier process is RESUME_EXPIRED, so that a client begins again", async () => {
  const target = { prefix: "" };
  const { signal } = new AbortController();
  const first = (await open()).store
    .watch({ keyspace, target, resumeToken: undefined, signal })
    [Symbol.asyncIterator]();
  const resumeToken = ((await first.next()).value ?? [])[0]?.resumeToken;
  const second = (await open()).store.watch({ keyspace, target, resumeToken, signal })[Symbol.asyncIterator]();
  await expect(second.next()).rejects.toMatchObject({ reason: "RESUME_EXPIRED" });
});

test("no timer is left behind once nothing expires, or the component is closed", async () => {
  const store = await open();
  await store.set("key", 0, 1_000);
  expect(store.clock.pending).toBe(1);
  await store.set("key");
  expect(store.clock.pending).toBe(0);
  await store.set("key", 0, 1_000);
  await store.component.close();
  expect(store.clock.pending).toBe(0);
});

test("the README's options are those of the schema", async () => {
  const readme = new URL("../README.md", import.meta.url);
  await expect(withOptionsTable(await readFile(readme, "utf8"), memory)).toMatchFileSnapshot(readme.pathname);
});
