import { createClient } from "@connectrpc/connect";
import { StateService } from "@mecha/api/state";
import type { StateStore } from "@mecha/component";
import { memory } from "@mecha/component-memory";
import { describe, expect, it } from "vitest";
import { callState, component, startRuntime, until } from "../../../test/helpers.js";

describe("the state block, called as curl calls it", () => {
  it("answers over the socket what was written in process", async () => {
    const runtime = await startRuntime();
    const client = createClient(StateService, runtime.transport);
    const { etag } = await client.set({ key: "greeting", value: new TextEncoder().encode("hello") });
    const { json } = await callState(runtime.endpoint, "Get", { key: "greeting" });
    expect(json).toMatchObject({ item: { key: "greeting", value: "aGVsbG8=", etag } });
  });

  it("tells an empty value from an absent one", async () => {
    const { endpoint } = await startRuntime();
    await callState(endpoint, "Set", { key: "empty" });
    expect((await callState(endpoint, "Get", { key: "empty" })).json).toMatchObject({ item: { key: "empty" } });
    expect((await callState(endpoint, "Get", { key: "absent" })).json).toEqual({});
  });

  it("answers a key that was asked for twice once", async () => {
    const { endpoint } = await startRuntime();
    await callState(endpoint, "Set", { key: "a", value: "AQ==" });
    const { json } = await callState(endpoint, "GetMany", { keys: ["b", "a", "a"] });
    expect(json).toMatchObject({ items: [{ key: "a" }] });
    expect(json.items).toHaveLength(1);
  });

  it("says which component there is when asked for one that there is not", async () => {
    const { endpoint } = await startRuntime();
    const { status, reason, json } = await callState(endpoint, "Get", { store: "orders", key: "a" });
    expect({ status, reason }).toEqual({ status: 404, reason: "COMPONENT_NOT_FOUND" });
    expect(json.message).toBe('there is no component "orders"; block "state" is served by "memory"');
  });

  it("refuses a component that serves no state, and one that is out of the app's scope", async () => {
    const secrets = component("secrets", { type: "env" });
    const others = component("others", { scopes: ["billing"] });
    const { endpoint } = await startRuntime({
      resources: [component("memory", { default: true }), secrets, others],
      appId: "shop",
    });
    expect(await callState(endpoint, "Get", { store: "secrets", key: "a" })).toMatchObject({
      status: 501,
      reason: "BLOCK_NOT_SERVED",
    });
    expect(await callState(endpoint, "Get", { store: "others", key: "a" })).toMatchObject({
      status: 403,
      reason: "OUT_OF_SCOPE",
    });
  });

  it("refuses a feature that the component does not have", async () => {
    const plain = {
      ...memory,
      type: "plain",
      async create(...args: Parameters<typeof memory.create>) {
        const created = await memory.create(...args);
        const { state } = created.blocks;
        if (state === undefined) throw new Error("no state");
        const featureless: StateStore = {
          features: [],
          durability: state.durability,
          get: (call) => state.get(call),
          getMany: (call) => state.getMany(call),
          write: (call) => state.write(call),
          list: (call) => state.list(call),
          watch: (call) => state.watch(call),
        };
        return { ...created, blocks: { ...created.blocks, state: featureless } };
      },
    };
    const { endpoint } = await startRuntime({
      components: [plain],
      resources: [component("plain", { type: "plain" })],
    });
    const refused = { status: 501, reason: "FEATURE_NOT_SERVED" };
    expect(await callState(endpoint, "Transact", { operations: [{ delete: { key: "a" } }] })).toMatchObject(refused);
    expect(await callState(endpoint, "Set", { key: "a", ttl: "5s" })).toMatchObject(refused);
    expect((await callState(endpoint, "Set", { key: "a" })).status).toBe(200);
  });

  it("names the failing operation of a transaction", async () => {
    const { endpoint } = await startRuntime();
    const { status, reason, json } = await callState(endpoint, "Transact", {
      operations: [{ set: { key: "a" } }, { check: { key: "b", precondition: { exists: true } } }],
    });
    expect({ status, reason }).toEqual({ status: 400, reason: "NOT_EXISTS" });
    expect(JSON.stringify(json)).toContain('"operation_index":"1"');
    expect((await callState(endpoint, "Get", { key: "a" })).json).toEqual({});
  });

  it("answers a repeated request id with the first answer, and refuses it for another request", async () => {
    const { endpoint } = await startRuntime();
    const request = { key: "a", value: "AQ==", requestId: "r1" };
    const first = await callState(endpoint, "Set", request);
    expect((await callState(endpoint, "Set", { ...request, store: "memory" })).json).toEqual(first.json);
    expect(await callState(endpoint, "Set", { ...request, value: "Ag==" })).toMatchObject({
      status: 400,
      reason: "BAD_REQUEST",
    });
  });
});

describe("page tokens", () => {
  it("go on where the page ended, on a restarted runtime too, for the same prefix and store only", async () => {
    const { endpoint } = await startRuntime();
    for (const key of ["a1", "a2", "a3", "b1"]) await callState(endpoint, "Set", { key });
    const first = await callState(endpoint, "List", { prefix: "a", pageSize: 2, keysOnly: true });
    expect(first.json).toMatchObject({ items: [{ key: "a1" }, { key: "a2" }] });
    const pageToken = first.json.nextPageToken;
    const second = await callState(endpoint, "List", { prefix: "a", pageSize: 2, pageToken });
    expect(second.json).toMatchObject({ items: [{ key: "a3" }] });
    expect(second.json.nextPageToken).toBeUndefined();

    const foreign = { status: 400, reason: "BAD_REQUEST", fields: ["page_token"] };
    expect(await callState(endpoint, "List", { prefix: "b", pageToken })).toMatchObject(foreign);
    const other = await startRuntime({ appId: "other" });
    expect(await callState(other.endpoint, "List", { prefix: "a", pageToken })).toMatchObject(foreign);
    const again = await startRuntime();
    expect((await callState(again.endpoint, "List", { prefix: "a", pageToken })).status).toBe(200);
  });
});

describe("keyspaces", () => {
  it("keep apps and namespaces apart, unless a component is shared", async () => {
    // One store under several runtimes, as several processes have over one database.
    const store = await memory.create(memory.config.parse({}), {
      name: "one",
      dataDir: "",
      baseDir: "",
      clock: { now: Date.now, after: () => () => {} },
      logger: { debug() {}, info() {}, warn() {}, error() {} },
      signal: new AbortController().signal,
    });
    const one = { ...memory, create: async () => ({ ...store, close: async () => {} }) };
    const start = (appId: string, namespace: string, keyspace: string) =>
      startRuntime({ appId, namespace, components: [one], resources: [component("one", { keyspace })] });
    const keys = async ({ endpoint }: { endpoint: string }) => {
      const { json } = await callState(endpoint, "List", {});
      return ((json.items ?? []) as { key: string }[]).map(({ key }) => key);
    };

    const shop = await start("shop", "default", "app");
    await callState(shop.endpoint, "Set", { key: "shop's" });
    const sharing = await start("shop", "default", "shared");
    await callState(sharing.endpoint, "Set", { key: "everybody's" });
    expect(await keys(shop)).toEqual(["shop's"]);
    expect(await keys(await start("billing", "default", "app"))).toEqual([]);
    expect(await keys(await start("shop", "staging", "app"))).toEqual([]);
    expect(await keys(await start("billing", "default", "shared"))).toEqual(["everybody's"]);
    expect(await keys(await start("billing", "staging", "shared"))).toEqual([]);
  });
});

describe("watch", () => {
  it("reports what is there, then synced, then changes, and goes on after its resume token", async () => {
    const runtime = await startRuntime();
    const client = createClient(StateService, runtime.transport);
    await client.set({ key: "a" });
    const stop = new AbortController();
    const seen: string[] = [];
    let resumeToken = "";
    const watching = (async () => {
      for await (const response of client.watch({ target: { case: "prefix", value: "" } }, { signal: stop.signal })) {
        seen.push(response.change.case === "item" ? response.change.value.key : String(response.change.case));
        resumeToken = response.resumeToken;
      }
    })().catch(() => {});
    await until(() => seen.length === 2, "synced");
    await client.set({ key: "b" });
    await until(() => seen.length === 3, "a change");
    stop.abort();
    await watching;
    expect(seen).toEqual(["a", "synced", "b"]);

    await client.delete({ key: "a" });
    for await (const response of client.watch({ target: { case: "prefix", value: "" }, resumeToken })) {
      expect(response.change).toMatchObject({ case: "deleted", value: { key: "a", expired: false } });
      break;
    }
  });

  it("refuses a token of another target, and a target that is none", async () => {
    const runtime = await startRuntime();
    const client = createClient(StateService, runtime.transport);
    const first = async (request: Parameters<typeof client.watch>[0]) => {
      for await (const response of client.watch(request)) return response;
      throw new Error("the watch ended");
    };
    const { resumeToken } = await first({ target: { case: "key", value: "a" } });
    await expect(first({ target: { case: "key", value: "b" }, resumeToken })).rejects.toThrow(/resume_token/);
    await expect(first({ target: { case: "prefix", value: "a" }, resumeToken })).rejects.toThrow(/resume_token/);
    await expect(first({})).rejects.toThrow(/target is none of key and prefix/);
  });
});
