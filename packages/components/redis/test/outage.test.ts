import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { ComponentError, type StateChange } from "@mecha/component";
import { startComponent } from "@mecha/component/conformance";
import { missing, startRedis } from "@mecha/test-servers";
import { describe, expect, test } from "vitest";
import { redis } from "../src/index.js";
import { command, eventually, reasonOf, setOf, stateOf, textOf, write } from "./kit.js";

const keyspace = "test/outage";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;
const heapBytes = () => {
  collectGarbage();
  return process.memoryUsage().heapUsed;
};

/** Callers that write and read without pause until they are stopped, and what became of their calls. */
function load(state: ReturnType<typeof stateOf>, callers: number, deadlineMs: number) {
  const acknowledged = new Map<string, string>();
  /** How often each kind of failure was met; the errors themselves are not kept, so that only the component can leak. */
  const failures = new Map<string, number>();
  let failed = 0;
  let answered = 0;
  let slowestMs = 0;
  let running = true;
  const call = async (isWrite: boolean, run: (signal: AbortSignal) => PromiseLike<unknown>) => {
    const start = performance.now();
    const timer = new AbortController();
    const timeout = setTimeout(() => timer.abort(new ComponentError("DEADLINE_EXCEEDED", "too late")), deadlineMs);
    try {
      await run(timer.signal);
      answered++;
      return true;
    } catch (error) {
      if (!(error instanceof ComponentError)) throw error;
      failed++;
      const hint = (error.retryAfterMs ?? 0) > 0 ? "with a hint" : "without a hint";
      const kind = `${isWrite ? "write" : "read"}: ${error.reason} ${hint}`;
      failures.set(kind, (failures.get(kind) ?? 0) + 1);
      return false;
    } finally {
      clearTimeout(timeout);
      slowestMs = Math.max(slowestMs, performance.now() - start);
    }
  };
  const caller = async (name: string) => {
    for (let round = 0; running; round++) {
      const value = String(round);
      const operations = [setOf(`${name}-a`, value), setOf(`${name}-b`, value)];
      const done = await call(true, (signal) =>
        Promise.resolve(state.write({ keyspace, operations, requestId: undefined, signal })),
      );
      if (done) acknowledged.set(name, value);
      await call(false, (signal) => Promise.resolve(state.get({ keyspace, key: `${name}-a`, signal })));
      // A caller that was refused at once tries again a little later.
      if (!done) await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  const all = Promise.all(Array.from({ length: callers }, (_, index) => caller(`caller-${index}`)));
  return {
    acknowledged,
    failures,
    get answered() {
      return answered;
    },
    get failed() {
      return failed;
    },
    get slowestMs() {
      return slowestMs;
    },
    async stop() {
      running = false;
      await all;
    },
  };
}

/** Every acknowledged transaction is there, or a later one of the same caller; and none is there by half. */
async function expectNothingLost(state: ReturnType<typeof stateOf>, acknowledged: ReadonlyMap<string, string>) {
  expect(acknowledged.size).toBeGreaterThan(0);
  for (const [name, value] of acknowledged) {
    const items = await state.getMany({ keyspace, keys: [`${name}-a`, `${name}-b`], maxBytes: 1_000_000 });
    const [a, b] = items.map((item) => Number(textOf(item.value)));
    expect(a, `${name} is there as a whole`).toBe(b);
    expect(a, `${name}'s last acknowledged write is there`).toBeGreaterThanOrEqual(Number(value));
  }
}

describe.skipIf(missing("redis"))("when Redis goes away", () => {
  test("killed and started under load: nothing lost, everybody answered in time, memory flat, all works again", {
    timeout: 60_000,
  }, async () => {
    await using server = await startRedis();
    const component = await startComponent(redis, { url: server.url });
    const state = stateOf(component);
    const deadlineMs = 2000;
    const users = load(state, 32, deadlineMs);
    await eventually("the load runs", () => users.answered > 500);
    const before = heapBytes();
    for (let outage = 0; outage < 4; outage++) {
      const { failed } = users;
      await (outage % 2 === 0 ? server.kill() : server.stop());
      await eventually("callers are refused", () => users.failed > failed + 500);
      await server.start();
      const answered = users.answered;
      await eventually("callers are answered again", () => users.answered > answered + 500);
    }
    const grownBy = heapBytes() - before;
    await users.stop();
    expect(grownBy).toBeLessThan(8 * 1024 * 1024);
    expect(users.slowestMs).toBeLessThan(deadlineMs + 1000);
    expect([...users.failures.keys()]).toEqual(expect.arrayContaining(["write: COMPONENT_UNAVAILABLE with a hint"]));
    const allowed = ["read: COMPONENT_UNAVAILABLE with a hint", "write: COMPONENT_UNAVAILABLE with a hint"];
    allowed.push("write: OUTCOME_UNKNOWN without a hint");
    for (const kind of users.failures.keys()) expect(allowed).toContain(kind);
    await expectNothingLost(state, users.acknowledged);
    await component.health(AbortSignal.timeout(1000));
    await component.close();
  });

  test("hanging: callers are answered by their deadline, the rest when the connection is given up, and it recovers", {
    timeout: 30_000,
  }, async () => {
    await using server = await startRedis({ appendfsync: "off" });
    const component = await startComponent(redis, { url: server.url, commandTimeoutMs: 2000, connectTimeoutMs: 500 });
    const state = stateOf(component);
    await write(state, keyspace, setOf("key", "v"));
    server.pause();
    try {
      const start = performance.now();
      const late = new ComponentError("DEADLINE_EXCEEDED", "too late");
      const deadline = new AbortController();
      setTimeout(() => deadline.abort(late), 200);
      const { signal } = deadline;
      const operations = [setOf("key", "w")];
      const requestId = { id: "id", fingerprint: "f" };
      const settled = await Promise.allSettled([
        state.get({ keyspace, key: "key", signal }),
        state.write({ keyspace, operations, requestId: undefined, signal }),
        state.write({ keyspace, operations, requestId, signal }),
      ]);
      expect(performance.now() - start).toBeLessThan(1500);
      const reasons = settled.map((each) => (each.status === "rejected" ? each.reason.reason : "answered"));
      expect(reasons).toEqual(["DEADLINE_EXCEEDED", "OUTCOME_UNKNOWN", "DEADLINE_EXCEEDED"]);

      expect(await reasonOf(write(state, keyspace, setOf("key", "x")))).toBe("OUTCOME_UNKNOWN");
      expect(performance.now() - start).toBeLessThan(4000);
      // From now on the connection is known to be away: what was not sent was not done, and is refused at once after the grace.
      expect(await reasonOf(Promise.resolve(state.get({ keyspace, key: "key" })))).toBe("COMPONENT_UNAVAILABLE");
      await eventually("calls fail fast", async () => {
        const asked = performance.now();
        expect(await reasonOf(write(state, keyspace, setOf("key", "y")))).toBe("COMPONENT_UNAVAILABLE");
        return performance.now() - asked < 20;
      });
      await expect(component.health(AbortSignal.timeout(1000))).rejects.toThrow(String(server.port));
    } finally {
      server.resume();
    }
    await eventually("writes work again", () =>
      write(state, keyspace, setOf("key", "z")).then(
        () => true,
        () => false,
      ),
    );
    expect(textOf((await state.get({ keyspace, key: "key" }))?.value)).toBe("z");
    await component.close();
  });

  test("hanging under a flood: what waits is bounded, the rest is refused at once", async () => {
    await using server = await startRedis({ appendfsync: "off" });
    const component = await startComponent(redis, { url: server.url });
    const state = stateOf(component);
    await write(state, keyspace, setOf("key", "v"));
    server.pause();
    let answered = 0;
    const refused = new Set<string>();
    const flood = Array.from({ length: 30_000 }, () =>
      Promise.resolve(state.get({ keyspace, key: "key" })).then(
        () => {
          answered++;
        },
        (error: unknown) => {
          if (!(error instanceof ComponentError)) throw error;
          refused.add(`${error.reason}: ${error.message}`);
        },
      ),
    );
    await eventually("some are refused", () => refused.size > 0);
    server.resume();
    await Promise.all(flood);
    expect([...refused]).toEqual([expect.stringMatching(/^COMPONENT_UNAVAILABLE: .*too many calls wait/)]);
    expect(answered).toBe(25_000);
    await component.close();
  });

  test("hanging while nobody calls: noticed before somebody does", async () => {
    await using server = await startRedis({ appendfsync: "off" });
    const warnings: string[] = [];
    const logger = { debug() {}, info() {}, error() {}, warn: (message: string) => warnings.push(message) };
    const component = await startComponent(redis, { url: server.url, commandTimeoutMs: 200 }, { logger });
    server.pause();
    await eventually("the component has noticed", () => warnings.includes("lost the connection to Redis"));
    server.resume();
    await eventually("it is back", () =>
      component.health(AbortSignal.timeout(1000)).then(
        () => true,
        () => false,
      ),
    );
    await component.close();
  });

  test("a connection that is cut costs reads nothing, and an open watch no change", async () => {
    await using server = await startRedis({ appendfsync: "off" });
    const component = await startComponent(redis, { url: server.url });
    const state = stateOf(component);
    await write(state, keyspace, setOf("key", "0"));
    const stop = new AbortController();
    const seen: StateChange[] = [];
    const watching = (async () => {
      const watch = state.watch({ keyspace, target: { prefix: "" }, resumeToken: undefined, signal: stop.signal });
      for await (const batch of watch) seen.push(...batch);
    })();
    await eventually("the watch is synced", () => seen.some(({ type }) => type === "synced"));
    for (let round = 1; round <= 5; round++) {
      const reads = Array.from({ length: 50 }, () => state.get({ keyspace, key: "key" }));
      await command(server.url, ["CLIENT", "KILL", "TYPE", "normal"], ["CLIENT", "KILL", "TYPE", "pubsub"]);
      for (const read of reads) expect(await read).toBeDefined();
      await state.get({ keyspace, key: "key" });
      await write(state, keyspace, setOf("key", String(round)));
      const told = () => seen.some((change) => change.type === "item" && textOf(change.item.value) === String(round));
      await eventually("the watch reports the write", told, 3000);
    }
    stop.abort();
    await watching;
    await component.close();
  });

  test("an open watch outlives a restart of the server", { timeout: 30_000 }, async () => {
    await using server = await startRedis();
    const component = await startComponent(redis, { url: server.url });
    const state = stateOf(component);
    await write(state, keyspace, setOf("a"), setOf("b"));
    const stop = new AbortController();
    const view = new Set<string>();
    let synced = false;
    const watching = (async () => {
      const watch = state.watch({ keyspace, target: { prefix: "" }, resumeToken: undefined, signal: stop.signal });
      for await (const batch of watch) {
        for (const change of batch) {
          if (change.type === "item") view.add(change.item.key);
          if (change.type === "deleted") view.delete(change.key);
          synced ||= change.type === "synced";
        }
      }
    })();
    await eventually("the watch has reported what is there", () => synced);
    await server.kill();
    await eventually("writes are refused", async () => {
      return (await reasonOf(write(state, keyspace, setOf("c")))) === "COMPONENT_UNAVAILABLE";
    });
    await server.start();
    await eventually("writes work again", () =>
      write(state, keyspace, setOf("c")).then(
        () => true,
        () => false,
      ),
    );
    await eventually("the watch goes on", () => view.has("c"));
    expect(view).toEqual(new Set(["a", "b", "c"]));
    stop.abort();
    await watching;
    await component.close();
  });
});
