import { statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { StateService } from "@mecha/api/state";
import { memory } from "@mecha/component-memory";
import { createTransport } from "@mecha/rpc";
import { describe, expect, it } from "vitest";
import { callState, component, startRuntime, temporaryFolder, until } from "../test/helpers.js";
import { testComponent } from "../test/test-component.js";
import { ConfigurationError, createRuntime } from "./index.js";

describe("starting", () => {
  it("refuses bad options with what would be right", async () => {
    await expect(createRuntime({ appId: "Not_A_Label" })).rejects.toThrow(
      /option `appId` is "Not_A_Label"; it must be a DNS label/,
    );
    await expect(createRuntime({ token: "" })).rejects.toThrow(/option `token` is empty/);
    await expect(createRuntime({ drainTimeoutMs: -1 })).rejects.toThrow(/option `drainTimeoutMs` is -1/);
  });

  it("tells every problem at once and leaves nothing behind", async () => {
    const { definition, controls } = testComponent();
    const resources = [
      component("a", { type: "test", acceptDurability: "HOST" }),
      component("b", { type: "nothing" }),
      component("c", { typ: 1 }),
    ];
    const error = await createRuntime({ components: [definition], resources, environment: {} }).catch(
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(ConfigurationError);
    expect((error as ConfigurationError).problems.map(({ source }) => source)).toEqual([
      "resources[1]",
      "resources[2]",
    ]);
    expect(controls.open.size).toBe(0);
  });

  it("tells every component that does not start, and stops those that did", async () => {
    const { definition, controls } = testComponent();
    const failing = (name: string, fail: string) =>
      component(name, { type: "test", acceptDurability: "HOST", config: { fail } });
    const fine = component("fine", { type: "test", default: true, acceptDurability: "HOST" });
    const start = createRuntime({
      components: [definition],
      resources: [failing("a", "no such host"), fine, failing("b", "wrong password")],
      environment: {},
    });
    await expect(start).rejects.toThrow(
      'resources[0]: component "a" (test) did not start: no such host\nresources[2]: component "b" (test) did not start: wrong password',
    );
    expect(controls.open.size).toBe(0);
  });

  it("gives up on a component that does not become ready", async () => {
    const never = { ...memory, create: () => new Promise<never>(() => {}) };
    const start = createRuntime({
      components: [never],
      resources: [component("m")],
      environment: {},
      startTimeoutMs: 20,
    });
    await expect(start).rejects.toThrow('component "m" (memory) did not start: it was not ready within 20 ms');
  });

  it("requires the features that a resource requires of the component as configured", async () => {
    const { definition } = testComponent();
    const declared = { ...definition, serves: { state: { features: ["TTL" as const], durability: {} } } };
    const resources = [component("a", { type: "test", requires: ["TTL"] })];
    const start = createRuntime({ components: [declared], resources, environment: {} });
    await expect(start).rejects.toThrow(
      'component "a" (test) lacks TTL, which its resource requires; as configured it has: WATCH',
    );
  });

  it("says what to do about a port that is taken, and stops what it started", async () => {
    const { definition, controls } = testComponent();
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    try {
      const { port } = other.address() as AddressInfo;
      const resources = [component("a", { type: "test" })];
      const start = createRuntime({
        components: [definition],
        resources,
        environment: {},
        listen: { port },
        dataDir: temporaryFolder(),
      });
      await expect(start).rejects.toThrow(`cannot listen on 127.0.0.1:${port}: `);
      expect(controls.open.size).toBe(0);
    } finally {
      other.close();
    }
  });

  it("says which data directory cannot be made", async () => {
    const file = join(temporaryFolder(), "file");
    writeFileSync(file, "");
    for (const dataDir of [join(file, "data"), "/proc/mecha/data"]) {
      const resources = [component("m")];
      const start = createRuntime({ components: [memory], resources, environment: {}, adminSocket: true, dataDir });
      await expect(start).rejects.toThrow(`data directory ${dataDir} cannot be made (`);
    }
  });

  it("warns about durability below HOST unless the resource accepts it", async () => {
    const warnings: string[] = [];
    const logger = {
      level: "info",
      isLevelEnabled: () => false,
      child: () => logger,
      debug() {},
      info() {},
      warn: (_fields: object, message: string) => void warnings.push(message),
      error() {},
    };
    await startRuntime({ logger, resources: [component("accepted")] });
    expect(warnings).toEqual([]);
    await startRuntime({ logger, resources: [component("plain", { acceptDurability: "HOST" })] });
    expect(warnings).toContainEqual(
      expect.stringMatching(/"plain" \(memory\).*state.*PROCESS.*acceptDurability: PROCESS/),
    );
  });

  it("resolves secrets from the stores that exist without a resource", async () => {
    const { definition } = testComponent();
    process.env.MECHA_TEST_LABEL = "from the environment";
    try {
      const config = { label: { $secret: "env/MECHA_TEST_LABEL" } };
      const { endpoint } = await startRuntime({
        components: [definition],
        resources: [component("a", { type: "test", config })],
      });
      const { json } = await callState(endpoint, "Get", { key: "k" });
      expect(json).toMatchObject({ item: { value: Buffer.from("from the environment").toString("base64") } });
    } finally {
      delete process.env.MECHA_TEST_LABEL;
    }
  });
});

describe("an embedded runtime", () => {
  it("listens nowhere, writes nothing, and serves in process", async () => {
    const dataDir = join(temporaryFolder(), "data");
    await using runtime = await createRuntime({
      components: [memory],
      resources: [component("m")],
      environment: {},
      dataDir,
    });
    expect([runtime.endpoint, runtime.adminEndpoint, runtime.ready]).toEqual([undefined, undefined, true]);
    const state = createClient(StateService, runtime.transport);
    await state.set({ key: "a" });
    expect((await state.get({ key: "a" })).item?.key).toBe("a");
    expect(() => statSync(dataDir)).toThrow();
  });
});

describe("stopping", () => {
  it("is not ready at once, finishes what is in flight, ends streams, then closes components", async () => {
    const { definition, controls } = testComponent();
    const runtime = await startRuntime({
      components: [definition],
      resources: [component("a", { type: "test", config: { slow: true } })],
    });
    const transport = createTransport({ endpoint: runtime.endpoint });
    const state = createClient(StateService, transport);
    const inFlight = state.get({ key: "k" });
    const inProcess = createClient(StateService, runtime.transport).get({ key: "k" });
    let responses = 0;
    const stream = (async () => {
      for await (const _ of state.watch({ target: { case: "prefix", value: "" } })) responses++;
    })().catch((error: unknown) => ConnectError.from(error).code);
    await until(() => controls.waiting === 2 && responses === 1, "calls are in flight");
    const closing = runtime.close();
    expect(runtime.ready).toBe(false);
    expect(await stream).toBe(Code.Unavailable);
    expect(controls.open.size).toBe(1);
    controls.release();
    expect((await inFlight).item?.key).toBe("k");
    expect((await inProcess).item?.key).toBe("k");
    await closing;
    await runtime.closed;
    expect(controls.open.size).toBe(0);
    const late = createClient(StateService, runtime.transport).get({ key: "k" });
    await expect(late).rejects.toThrow(/the runtime is stopping/);
    await expect(fetch(`${runtime.endpoint}/healthz`)).rejects.toThrow();
  });

  it("does not wait past its deadline", async () => {
    const { definition, controls } = testComponent();
    const runtime = await startRuntime({
      components: [definition],
      resources: [component("a", { type: "test", config: { slow: true } })],
    });
    const stuck = createClient(StateService, createTransport({ endpoint: runtime.endpoint })).get({ key: "k" });
    const cutOff = expect(stuck).rejects.toThrow();
    await until(() => controls.waiting === 1, "a call is stuck");
    await runtime.close({ deadlineMs: 20 });
    expect(controls.open.size).toBe(0);
    await cutOff;
  });
});
