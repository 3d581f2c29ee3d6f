import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { createClient } from "@connectrpc/connect";
import { StateService } from "@mecha/api/state";
import { type ComponentDefinition, ComponentError, defineComponent, z } from "@mecha/component";
import { memory } from "@mecha/component-memory";
import { createStateClient } from "@mecha/state";
import { describe, expect, test } from "vitest";
import { startTestRuntime, type TestRuntimeOptions } from "./index.js";

async function start(options?: TestRuntimeOptions) {
  const mecha = await startTestRuntime(options);
  // Without retries, so that a fault is seen as it is.
  return { mecha, state: createStateClient({ transport: mecha.transport, retry: false }) };
}

const component = (name: string, type: string, spec: Record<string, unknown> = {}) => ({
  apiVersion: "mecha.dev/v1" as const,
  kind: "Component",
  metadata: { name },
  spec: { type, acceptDurability: "PROCESS", ...spec },
});

describe("the runtime", () => {
  test("each is a world of its own, without files or ports", async () => {
    const before = (await readdir(tmpdir())).filter((name) => name.startsWith("mecha-test-"));
    const [one, two] = [await start(), await start()];
    await one.state.set("key", "one");
    expect(await two.state.get("key")).toBeUndefined();
    expect(one.mecha.runtime.endpoint).toBeUndefined();
    expect(existsSync(".mecha")).toBe(false);
    expect((await readdir(tmpdir())).filter((name) => name.startsWith("mecha-test-"))).toEqual(before);
    await Promise.all([one.mecha.close(), two.mecha.close()]);
  });

  test("components go by the names that the app uses; the first is the default", async () => {
    const { mecha, state } = await start({ names: ["orders-db", "cache"] });
    await state.set("key", "default");
    await state.set("key", "cache", { store: "cache" });
    expect(await state.get("key", { store: "orders-db" })).toMatchObject({ value: "default" });
    await expect(state.get("key", { store: "other" })).rejects.toMatchObject({ reason: "COMPONENT_NOT_FOUND" });
    await mecha.close();
  });

  test("resources, environment and app are the test's", async () => {
    const { mecha } = await start({
      appId: "shop",
      environment: { LIMIT: "1048576" },
      resources: [component("small", "memory", { config: { maxBytes: { $env: "LIMIT" } } })],
    });
    const { appId, components } = mecha.runtime.info();
    expect({ appId, names: components.map(({ name }) => name) }).toEqual({ appId: "shop", names: ["small"] });
    await mecha.close();
  });
});

describe("the clock", () => {
  test("begins when the test says and moves only when it says", async () => {
    const { mecha, state } = await start({ startTime: new Date("2030-05-05T12:00:00Z") });
    mecha.clock.advance("90s");
    await state.set("key", "v");
    expect(await state.get("key")).toMatchObject({ updateTime: new Date("2030-05-05T12:01:30Z") });
    expect(mecha.clock.now()).toEqual(new Date("2030-05-05T12:01:30Z"));
    await mecha.close();
  });

  test("a watch is told of what expires when it is advanced", async () => {
    const { mecha, state } = await start();
    await state.set("session", "v", { ttl: "10m" });
    await using watch = state.watch();
    const seen: string[] = [];
    for await (const change of watch) {
      seen.push(change.type);
      if (change.type === "synced") mecha.clock.advance("10m");
      if (change.type === "deleted") {
        expect(change).toMatchObject({ key: "session", expired: true });
        break;
      }
    }
    expect(seen).toEqual(["item", "synced", "deleted"]);
    await mecha.close();
  });
});

describe("faults", () => {
  test("a call fails as often as asked, and nothing is done", async () => {
    const { mecha, state } = await start();
    const fault = mecha.faults.fail("default", { times: 2 });
    await expect(state.set("key", "v")).rejects.toMatchObject({ code: "unavailable", reason: "COMPONENT_UNAVAILABLE" });
    await expect(state.get("key")).rejects.toMatchObject({ reason: "COMPONENT_UNAVAILABLE" });
    expect(await state.get("key")).toBeUndefined();
    expect(fault.hits).toBe(2);
    await mecha.close();
  });

  test("one of a call, a block, a reason; until it is lifted", async () => {
    const { mecha, state } = await start();
    {
      using fault = mecha.faults.fail("default", { on: "state.list", reason: "STORAGE_CORRUPT" });
      await state.set("key", "v");
      for (let round = 0; round < 3; round++) {
        await expect(state.list().page()).rejects.toMatchObject({ code: "data_loss", reason: "STORAGE_CORRUPT" });
      }
      expect(fault.hits).toBe(3);
    }
    expect((await state.list().page()).items).toHaveLength(1);
    mecha.faults.fail("default", { on: "state" });
    await expect(state.get("key")).rejects.toMatchObject({ reason: "COMPONENT_UNAVAILABLE" });
    mecha.faults.clear();
    expect(await state.get("key")).toMatchObject({ value: "v" });
    await mecha.close();
  });

  test("one that acts does what was asked for, and its outcome is unknown", async () => {
    const { mecha, state } = await start();
    mecha.faults.fail("default", { on: "state.write", times: 1, acts: true });
    await expect(state.set("key", "v")).rejects.toMatchObject({ reason: "OUTCOME_UNKNOWN" });
    expect(await state.get("key")).toMatchObject({ value: "v" });
    await mecha.close();
  });

  test("a delayed call hangs until the clock is advanced, or its deadline passes", async () => {
    const { mecha, state } = await start();
    const fault = mecha.faults.delay("default", "5s");
    await expect(state.get("key", { timeoutMs: 20 })).rejects.toMatchObject({ code: "deadline_exceeded" });
    const written = state.set("key", "v");
    await expect.poll(() => fault.hits).toBe(2);
    fault.lift();
    expect(await state.get("key")).toBeUndefined();
    mecha.clock.advance("5s");
    await written;
    expect(await state.get("key")).toMatchObject({ value: "v" });
    await mecha.close();
  });

  test("an interrupted watch is opened again by its client, and misses nothing", async () => {
    await using mecha = await startTestRuntime();
    const state = createStateClient({ transport: mecha.transport });
    const seen: string[] = [];
    for await (const change of state.watch<string>()) {
      if (change.type === "synced" && seen.length === 0) {
        mecha.faults.interrupt("default");
        await state.set("key", "meanwhile");
      }
      seen.push(change.type);
      if (change.type === "item") break;
    }
    expect(seen).toEqual(["synced", "item"]);
  });

  test("a watch can fail to open, and components to be well", async () => {
    const { mecha } = await start();
    const rpc = createClient(StateService, mecha.transport);
    mecha.faults.fail("default", { on: "state.watch", times: 1, reason: "RESUME_EXPIRED" });
    const first = async () => {
      const leaving = new AbortController();
      for await (const change of rpc.watch({ target: { case: "prefix", value: "" } }, { signal: leaving.signal })) {
        // Leaving the loop alone ends no stream of a plain Connect client.
        leaving.abort();
        return change;
      }
      return undefined;
    };
    await expect(first()).rejects.toThrow("the test says so");
    expect(await first()).toBeDefined();

    mecha.faults.fail("default", { on: "health" });
    mecha.clock.advance("5s");
    await expect.poll(() => mecha.runtime.info().components[0]?.lastError).toContain("the test says so");
    await mecha.close();
  });

  test("one for a component that is not there, or for no calls, is refused", async () => {
    const { mecha } = await start();
    expect(() => mecha.faults.fail("orders")).toThrow(
      'no component "orders" that faults can be injected into; there are: default',
    );
    expect(() => mecha.faults.interrupt("orders")).toThrow("no component");
    expect(() => mecha.faults.fail("default", { times: 0 })).toThrow("whole number");
    await mecha.close();
  });

  test("they work on any component that is handed in", async () => {
    const own: ComponentDefinition = defineComponent({
      type: "own",
      description: "A memory component by another name.",
      config: z.strictObject({}),
      serves: memory.serves,
      create: (_, context) => memory.create({ maxBytes: 1_048_576, history: 10, retainedEvents: 10 }, context),
    });
    const { mecha, state } = await start({ components: [own], resources: [component("mine", "own")] });
    mecha.faults.fail("mine", { times: 1 });
    await expect(state.get("key")).rejects.toMatchObject({ reason: "COMPONENT_UNAVAILABLE" });
    expect(await state.get("key")).toBeUndefined();
    await mecha.close();
  });
});

describe("leaks", () => {
  test("a watch that is left open fails the test, and is ended", async () => {
    const { mecha, state } = await start();
    const changes = state.watch()[Symbol.asyncIterator]();
    await changes.next();
    await expect(mecha.close()).rejects.toThrow("left open: a call of mecha.state.v1.StateService/Watch");
    await changes.return?.();
  });

  test("a call that still hangs fails the test", async () => {
    const { mecha, state } = await start();
    const fault = mecha.faults.delay("default", "5s", { times: 1 });
    const hanging = state.get("key").catch((error: unknown) => error);
    await expect.poll(() => fault.hits).toBe(1);
    await expect(mecha.close()).rejects.toThrow("StateService/Get");
    await hanging;
  });

  test("a component that leaves a timer behind fails the test", async () => {
    const leaky: ComponentDefinition = {
      ...memory,
      type: "leaky",
      create(config, context) {
        context.clock.after(60_000, () => {});
        return memory.create(memory.config.parse(config), context);
      },
    };
    const { mecha } = await start({ components: [leaky], resources: [component("db", "leaky")] });
    await expect(mecha.close()).rejects.toThrow("1 timers of components");
  });

  test("what was ended properly does not", async () => {
    const { mecha, state } = await start();
    await state.set("key", "v", { ttl: "1h" });
    for await (const change of state.watch()) if (change.type === "synced") break;
    await mecha.close();
    await expect(state.get("key")).rejects.toMatchObject({ code: "unavailable" });
  });
});

test("a component that fails to start says so", async () => {
  const broken: ComponentDefinition = {
    ...memory,
    type: "broken",
    create: async () =>
      Promise.reject(new ComponentError("COMPONENT_UNAVAILABLE", "connection refused; is it running?")),
  };
  const resources = [component("db", "broken")];
  await expect(startTestRuntime({ components: [broken], resources })).rejects.toThrow(
    "connection refused; is it running?",
  );
});

test("the README's code is what readme.test.ts runs", async () => {
  const [readme, code] = await Promise.all(
    ["../README.md", "readme.test.ts"].map((path) => readFile(new URL(path, import.meta.url), "utf8")),
  );
  expect(readme).toContain(`\`\`\`ts\n${code}\`\`\``);
});
