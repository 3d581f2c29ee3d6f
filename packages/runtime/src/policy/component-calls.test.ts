import { Code, type ConnectError } from "@connectrpc/connect";
import { ComponentError, type StateStore } from "@mecha/component";
import { createManualClock } from "@mecha/component/conformance";
import { expect, test } from "vitest";
import type { ResourceDocument } from "../config/documents.js";
import { createComponentCalls } from "./component-calls.js";
import { planPolicy } from "./plan.js";
import { createPolicies } from "./policies.js";
import { createRateLimiters } from "./rate-limiters.js";
import { policyResource } from "./resource.js";

const document: ResourceDocument = { value: {}, file: "", baseDir: "", sourceOf: () => "" };

async function plan(sections: Record<string, unknown>, component = "db") {
  const resource = policyResource.parse({
    apiVersion: "mecha.dev/v1",
    kind: "Policy",
    metadata: { name: "p" },
    spec: { target: { component }, ...sections },
  });
  const problems: never[] = [];
  return planPolicy(resource, document, { problems, definitions: { find: async () => undefined } as never });
}

const away = () => new ComponentError("COMPONENT_UNAVAILABLE", "it is away");
const unknown = () => new ComponentError("OUTCOME_UNKNOWN", "it may have been done");

/** A store whose calls end as the script says: with an error, never, or well; under policies, on a clock that stands still. */
async function startGuarded(sections: Record<string, unknown>, script: (Error | "hang" | "ok")[] = []) {
  const clock = createManualClock();
  const policies = createPolicies();
  policies.replace([await plan(sections)]);
  const registry = {
    use: () => {
      throw away();
    },
  };
  const logger = { info() {}, warn() {} } as never;
  const limiters = createRateLimiters({ registry, namespace: "default", clock, logger });
  const calls = createComponentCalls({ policies, limiters, clock, random: () => 0.5 });
  const seen: { signal?: AbortSignal | undefined }[] = [];
  const next = async <T>(call: { signal?: AbortSignal }, answer: T): Promise<T> => {
    seen.push(call);
    const ending = script.shift() ?? "ok";
    if (ending instanceof Error) throw ending;
    if (ending === "ok") return answer;
    // As the contract has it: it ends with the signal's reason, sooner or later.
    return new Promise((_, reject) => call.signal?.addEventListener("abort", () => reject(call.signal?.reason)));
  };
  const store: StateStore = {
    features: [],
    durability: "HOST",
    get: (call) => next(call, undefined),
    getMany: (call) => next(call, []),
    write: (call) => next(call, []),
    list: (call) => next(call, { items: [], more: false }),
    async *watch() {},
  };
  const guarded = calls.guard("db", "state", store);
  return {
    clock,
    policies,
    store,
    guarded,
    calls,
    seen,
    get: (signal?: AbortSignal) =>
      Promise.resolve(guarded.get({ keyspace: "k", key: "a", ...(signal !== undefined && { signal }) })),
    write: (id?: string) =>
      Promise.resolve(
        guarded.write({
          keyspace: "k",
          operations: [],
          requestId: id === undefined ? undefined : { id, fingerprint: "" },
        }),
      ),
  };
}

/** Lets what is due happen, until a promise settles. */
async function turn<T>(clock: { advance(ms: number): void }, promise: Promise<T>, stepMs = 10): Promise<T> {
  let isOver = false;
  const done = promise.finally(() => (isOver = true));
  done.catch(() => {});
  for (let step = 0; !isOver && step < 100_000; step++) {
    await new Promise(setImmediate);
    if (!isOver) clock.advance(stepMs);
  }
  return done;
}

test("a component without a policy, and a block that policies are not for, are left as they are", async () => {
  const { calls, store, guarded } = await startGuarded({ retry: {} });
  expect(calls.guard("other", "state", store)).toBe(store);
  expect(calls.guard("db", "discovery", store as never)).toBe(store);
  expect(guarded).not.toBe(store);
  expect(guarded.features).toBe(store.features);
});

const retries: [what: string, script: Error[], write: string | undefined | "read", attempts: number, ends: string][] = [
  ["a read is tried again", [unknown(), unknown()], "read", 3, "ok"],
  ["a write with a request id too", [unknown()], "id", 2, "ok"],
  ["a write without one is not: it may have been done", [unknown()], undefined, 1, "OUTCOME_UNKNOWN"],
  ["unless nothing was done", [away(), away()], undefined, 3, "ok"],
  ["attempts end", [away(), away(), away()], "read", 3, "COMPONENT_UNAVAILABLE"],
  ["what is no failure is the answer", [new ComponentError("BAD_REQUEST", "no")], "read", 1, "BAD_REQUEST"],
];

test.each(retries)("retry: %s", async (_what, script, write, attempts, ends) => {
  const on = ["connect-failure", "reset", "timeout", "unavailable"];
  const { clock, seen, ...state } = await startGuarded({ retry: { on } }, [...script]);
  const call: Promise<unknown> = write === "read" ? state.get() : state.write(write);
  const ended = await turn(clock, call).then(
    () => "ok",
    (error: ComponentError) => error.reason,
  );
  expect([seen.length, ended]).toEqual([attempts, ends]);
});

test("timeouts: a read ends at once, a write says that it may have been done; a shorter attempt is followed by another", async () => {
  const { clock, get, write, seen } = await startGuarded({ timeout: { total: "1s" } }, ["hang", "hang"]);
  const reading = get();
  await new Promise(setImmediate);
  clock.advance(999);
  expect(await Promise.race([reading, "pending"])).toBe("pending");
  clock.advance(1);
  await expect(reading).rejects.toMatchObject({ reason: "DEADLINE_EXCEEDED" });
  expect(seen[0]?.signal?.aborted).toBe(true);
  // This store settles when it is told to end.
  await expect(turn(clock, write())).rejects.toMatchObject({ reason: "DEADLINE_EXCEEDED" });

  const again = await startGuarded({ timeout: { perTry: "100ms" }, retry: {} }, ["hang", "ok"]);
  await turn(again.clock, again.get());
  expect(again.seen.length).toBe(2);
});

test("a call whose clock is set back between its attempts takes no longer for that", async () => {
  const { clock, get, seen } = await startGuarded({ timeout: { total: "1s" }, retry: {} }, [away(), "hang"]);
  const reading = get();
  await new Promise(setImmediate);
  clock.advance(250);
  clock.advance(-3_600_000);
  await new Promise(setImmediate);
  expect(seen.length).toBe(2);
  clock.advance(0);
  await expect(reading).rejects.toMatchObject({ reason: "DEADLINE_EXCEEDED" });
});

test("a write that never settles ends as one that may have been done", async () => {
  const { clock, policies, calls } = await startGuarded({ timeout: { total: "1s" } });
  expect(policies.plans.length).toBe(1);
  const stuck = { write: () => new Promise(() => {}), features: [] } as unknown as StateStore;
  const guarded = calls.guard("db", "state", stuck);
  const writing = Promise.resolve(guarded.write({ keyspace: "k", operations: [], requestId: undefined }));
  await expect(turn(clock, writing)).rejects.toMatchObject({ reason: "OUTCOME_UNKNOWN" });
});

test("a breaker opens for the component, and tries again", async () => {
  const script = [away(), away(), away()];
  const { clock, get, seen } = await startGuarded({ circuitBreaker: { consecutive: 3, openFor: "10s" } }, script);
  for (let index = 0; index < 3; index++) await expect(get()).rejects.toThrow("it is away");
  await expect(get()).rejects.toThrow('circuit breaker of policy "p" is open');
  expect(seen.length).toBe(3);
  clock.advance(10_000);
  await get();
  await get();
  expect(seen.length).toBe(5);
});

test("a bulkhead and a rate limit refuse what is too many", async () => {
  const full = await startGuarded({ bulkhead: { maxConcurrent: 1 } }, ["hang"]);
  void full.get().catch(() => {});
  await expect(full.get()).rejects.toMatchObject({ reason: "RATE_LIMITED" });
  const limited = await startGuarded({ rateLimit: { rate: "1/s", burst: 2 } });
  await limited.get();
  await limited.get();
  await expect(limited.get()).rejects.toMatchObject({ reason: "RATE_LIMITED", retryAfterMs: 1_000 });
  limited.clock.advance(1_000);
  await limited.get();
});

test("a caller that leaves while it waits for its turn keeps no place, and its call is not made", async () => {
  const { get, seen, policies, clock } = await startGuarded({ bulkhead: { maxConcurrent: 1, maxQueue: 1 } }, ["hang"]);
  const [first, second, third] = [new AbortController(), new AbortController(), new AbortController()];
  const running = get(first.signal);
  const waiting = get(second.signal);
  second.abort(new Error("it left"));
  await expect(waiting).rejects.toThrow("it left");
  await expect(get(AbortSignal.abort(new Error("it was gone")))).rejects.toThrow("it was gone");
  const next = get(third.signal);
  expect([seen.length, clock.pending]).toEqual([1, 1]);
  first.abort(new Error("it is over"));
  await expect(running).rejects.toThrow("it is over");
  await next;
  await get();
  expect([seen.length, clock.pending]).toEqual([3, 0]);
  expect(policies.counts.samples().some(({ metric }) => metric.name === "mecha_call_refusals_total")).toBe(false);
});

test.each([0, 1, 2, 3, 4, 5, 6, 7])(
  "a caller that leaves as its turn comes, %s steps on, is not called for",
  async (steps) => {
    const { get, seen } = await startGuarded({ bulkhead: { maxConcurrent: 1, maxQueue: 1 } }, ["hang"]);
    const [first, second] = [new AbortController(), new AbortController()];
    const running = get(first.signal).catch(() => {});
    const waiting = get(second.signal);
    while (seen.length === 0) await Promise.resolve();
    first.abort();
    for (let step = 0; step < steps; step++) await Promise.resolve();
    const before = seen.length;
    second.abort(new Error("it left"));
    await waiting.catch(() => {});
    expect(seen.length).toBe(before);
    await running;
    await get();
  },
);

test("a caller that leaves before another attempt is made has none made", async () => {
  const { get, seen, clock } = await startGuarded({ retry: { backoff: { min: "1s", max: "1s" } } }, [away(), away()]);
  const caller = new AbortController();
  const calling = get(caller.signal);
  await new Promise(setImmediate);
  caller.abort(new Error("it left"));
  clock.advance(1_000);
  await expect(calling).rejects.toThrow("it left");
  expect(seen.length).toBe(1);
});

test("faults are the component's own: retries absorb them, and it sees nothing of them", async () => {
  const { clock, get, seen, policies } = await startGuarded({
    fault: { abort: { code: "unavailable" }, delay: { duration: "5s" } },
    retry: { maxAttempts: 3 },
  });
  await expect(turn(clock, get())).rejects.toThrow('a fault that policy "p" injects');
  expect(seen.length).toBe(0);
  const samples = policies.counts.samples();
  const value = (name: string) => samples.find(({ metric }) => metric.name === name)?.value;
  expect([value("mecha_call_retries_total"), value("mecha_call_attempts_total")]).toEqual([2, 3]);
  const other = await startGuarded({ fault: { abort: { code: "data_loss" } } });
  await expect(other.get()).rejects.toMatchObject({ code: Code.DataLoss } satisfies Partial<ConnectError>);
});
