import { writeFileSync } from "node:fs";
import type { IncomingHttpHeaders, ServerResponse } from "node:http";
import { join } from "node:path";
import { createManualClock } from "@mecha/component/conformance";
import { sqlite } from "@mecha/component-sqlite";
import { expect, test } from "vitest";
import { callState, component, startRuntime, temporaryFolder, until } from "../../test/helpers.js";
import { findsApp, type RunningRuntime, startApp, startMeshRuntime, startPair } from "../../test/mesh.js";
import type { ResourceObject } from "../index.js";

function policy(spec: Record<string, unknown>, name = "p"): ResourceObject {
  return {
    apiVersion: "mecha.dev/v1",
    kind: "Policy",
    metadata: { name },
    spec: { target: { app: "orders" }, ...spec },
  };
}

/** Shop, under policies, calls orders, which answers with the statuses of `script` one by one, then 200, and says what it got. */
async function startScripted(
  policies: readonly ResourceObject[],
  script: (number | "hang")[] = [],
  options: { clock?: ReturnType<typeof createManualClock>; headers?: Record<string, string> } = {},
) {
  const got: { method: string; body: string; headers: IncomingHttpHeaders }[] = [];
  const pair = await startPair(
    async (request, response) => {
      let body = "";
      for await (const chunk of request) body += chunk;
      got.push({ method: request.method ?? "", body, headers: request.headers });
      const next = script.shift() ?? 200;
      if (next === "hang") return;
      response.writeHead(next, options.headers);
      response.end(String(next));
    },
    {
      shop: { resources: [...policies], ...(options.clock && { clock: options.clock }) },
      ...(options.clock && { tick: () => options.clock?.advance(10) }),
    },
  );
  const call = async (path = "/x", init: RequestInit = {}) => {
    const response = await fetch(`${pair.url}${path}`, init);
    return { status: response.status, text: await response.text(), headers: response.headers };
  };
  return { ...pair, got, call };
}

async function metrics(runtime: RunningRuntime): Promise<string[]> {
  const text = await (await fetch(`${runtime.endpoint}/metrics`)).text();
  return text.split("\n").filter((line) => /^mecha_(call|circuit|eject|faults)/.test(line));
}

/** Not the calls by which the test finds the app. */
const match = { paths: ["/x"] };

const fast = { backoff: { min: "1ms", max: "2ms" } };

test("without a policy a call that may be repeated survives a 503, and another is answered with it", async () => {
  const { call, got } = await startScripted([], [503, 503, 503]);
  expect((await call("/x", { method: "POST", body: "one" })).status).toBe(503);
  expect(got.map(({ body }) => body)).toEqual(["one"]);
  expect((await call()).status).toBe(200);
  expect(got.length).toBe(4);
});

test("a body that was kept is sent again, for a caller that says it may be", async () => {
  const { call, got } = await startScripted([], [503]);
  const init = { method: "POST", body: "an order", headers: { "idempotency-key": "1" } };
  expect((await call("/x", init)).status).toBe(200);
  expect(got.map(({ body }) => body)).toEqual(["an order", "an order"]);
});

test("a body that is too large to be kept is not sent again", async () => {
  const { call, got } = await startScripted([], [503]);
  const body = "x".repeat(100_000);
  expect((await call("/x", { method: "PUT", body })).status).toBe(503);
  expect(got.map((each) => each.body.length)).toEqual([100_000]);
});

test("retries end with the attempts, the methods and the answers that the policy says", async () => {
  const retry = { maxAttempts: 4, on: [418], methods: ["POST"], ...fast };
  const { call, got } = await startScripted([policy({ retry })], [418, 418, 418, 418, 503, 418]);
  expect((await call("/x", { method: "POST", body: "b" })).status).toBe(418);
  expect(got.length).toBe(4);
  expect((await call("/x", { method: "POST", body: "b" })).status).toBe(503);
  expect((await call()).status).toBe(418);
});

test("retry-after is waited for where there is no other instance", async () => {
  const { call, got } = await startScripted([policy({ retry: fast })], [503], { headers: { "retry-after": "1" } });
  const start = performance.now();
  expect((await call()).status).toBe(200);
  expect(performance.now() - start).toBeGreaterThan(990);
  expect(got.length).toBe(2);
});

test("the budget keeps retries from multiplying calls, whatever fails", async () => {
  const retry = { maxAttempts: 10, ...fast, budget: { percent: 10, minPerSecond: 0 } };
  const { call, got } = await startScripted([policy({ retry })], new Array(1_000).fill(503));
  for (let index = 0; index < 100; index++) await call();
  expect(got.length).toBeGreaterThan(105);
  // Those that found the app were calls, too.
  expect(got.length).toBeLessThanOrEqual(115);
});

test("an attempt that takes too long is followed by another; the app is told how long the call has", async () => {
  const { call, got } = await startScripted([policy({ timeout: { perTry: "200ms", total: "5s" } })], ["hang"]);
  expect((await call()).status).toBe(200);
  const told = got.map(({ headers }) => Number(headers["mecha-timeout-ms"]));
  expect(told).toEqual([expect.any(Number), expect.any(Number)]);
  // What is left of the second one is less by the first attempt; neither is the time of an attempt.
  expect(told.every((ms) => ms > 200 && ms <= 5_000)).toBe(true);
  expect(told[1]).toBeLessThanOrEqual((told[0] ?? 0) - 190);
});

test("the time of an attempt holds until its answer begins, and not for what follows", async () => {
  let response: ServerResponse | undefined;
  const { url } = await startPair(
    (_request, answer) => {
      answer.write("begun,");
      response = answer;
    },
    { shop: { resources: [policy({ timeout: { perTry: "100ms" } })] } },
  );
  const answer = await fetch(`${url}/x`);
  const clock = performance.now();
  await until(() => performance.now() - clock > 300, "three times as long has gone by");
  response?.end("ended");
  expect(await answer.text()).toBe("begun,ended");
});

test("a call ends when its total time is over: with 504, or broken off in the midst of its answer", async () => {
  const { url } = await startPair(
    (request, response) => {
      if (request.url === "/begins") response.write("begin");
    },
    { shop: { resources: [policy({ timeout: { total: "300ms" } })] } },
  );
  const answer = await fetch(`${url}/x`);
  expect([answer.status, await answer.text()]).toEqual([504, expect.stringContaining("did not answer within 300ms")]);
  const begun = await fetch(`${url}/begins`);
  expect(begun.status).toBe(200);
  await expect(begun.text()).rejects.toThrow();
});

test("an earlier deadline of the caller holds, and travels along in the words of its protocol", async () => {
  const { call, got } = await startScripted([policy({ timeout: { total: "60s" } })], ["hang"]);
  expect((await call("/x", { headers: { "mecha-timeout-ms": "100" } })).status).toBe(504);
  await call("/x", { headers: { "connect-timeout-ms": "5000", "connect-protocol-version": "1" } });
  const last = got.at(-1)?.headers ?? {};
  expect(Number(last["connect-timeout-ms"])).toBeLessThanOrEqual(5_000);
  expect(last["mecha-timeout-ms"]).toBe(last["connect-timeout-ms"]);
});

test("the callee's runtime ends what nobody waits for any more", async () => {
  let closed = 0;
  const { url } = await startPair((request) => void request.once("close", () => closed++), {
    shop: { resources: [policy({ timeout: { total: "100ms" } })] },
  });
  expect((await fetch(`${url}/x`)).status).toBe(504);
  await until(() => closed === 1, "the app's request is ended");
});

test("by the clock: the total time holds over all attempts, and a wait that would outlast it is not begun", async () => {
  const clock = createManualClock(Date.now());
  const spec = { timeout: { total: "10s" }, retry: { backoff: { min: "0ms", max: "0ms" } } };
  const retrying = await startScripted([policy(spec)], [503, "hang"], { clock });
  const hanging = retrying.call();
  await until(() => retrying.got.length === 2, "the second attempt is with the app");
  clock.advance(9_999);
  const early = await Promise.race([hanging, new Promise((resolve) => setTimeout(resolve, 50))]);
  expect(early).toBeUndefined();
  clock.advance(1);
  expect((await hanging).status).toBe(504);

  const headers = { "retry-after": "10" };
  const { call, got } = await startScripted([policy(spec)], [503], { clock, headers });
  expect((await call()).status).toBe(503);
  expect(got.length).toBe(1);
});

test("every attempt counts for the circuit breaker; while it is open calls fail at once", async () => {
  const spec = { retry: { maxAttempts: 3, ...fast }, circuitBreaker: { consecutive: 4, openFor: "3s" } };
  const { call, got, shop } = await startScripted([policy(spec)], [503, 503, 503, 503]);
  expect((await call()).status).toBe(503);
  expect(got.length).toBe(3);
  // The first attempt opens it; there is no second.
  const refused = await call();
  expect([refused.status, refused.text]).toEqual([
    503,
    expect.stringMatching(/circuit breaker of policy \\?"p\\?" is open/),
  ]);
  expect(got.length).toBe(4);
  expect((await call()).status).toBe(503);
  expect(got.length).toBe(4);
  expect(refused.headers.get("retry-after")).toBe("3");
  expect(await metrics(shop)).toContain('mecha_circuit_breaker_state{target="app/orders",policy="p"} 2');
  await until(async () => (await call()).status === 200, "it closes");
  expect(await metrics(shop)).toContain('mecha_circuit_breaker_state{target="app/orders",policy="p"} 0');
});

test("the bulkhead comes first: what waits has its whole time, what is too many is refused", async () => {
  const bulkhead = { maxConcurrent: 1, maxQueue: 1, maxWait: "10s" };
  const spec = { bulkhead, timeout: { total: "300ms" }, retry: { maxAttempts: 1 } };
  const { call, got } = await startScripted([policy(spec)], ["hang", "hang"]);
  const start = performance.now();
  const first = call();
  await until(() => got.length === 1, "one is with the app");
  const second = call();
  await until(async () => (await call()).status === 429, "a third is too many");
  expect((await first).status).toBe(504);
  expect((await second).status).toBe(504);
  // The second's time began when its turn came.
  expect(performance.now() - start).toBeGreaterThan(590);
  expect((await call()).status).toBe(200);
});

test("faults are an instance's own: retries absorb some, breakers see all, and no app does", async () => {
  const some = {
    match,
    fault: { abort: { status: 503, percent: 30 } },
    retry: { maxAttempts: 10, ...fast, budget: { percent: 100 } },
  };
  const absorbed = await startScripted([policy(some)]);
  for (let index = 0; index < 30; index++) expect((await absorbed.call()).status).toBe(200);
  expect(absorbed.got.length).toBe(30);
  const text = (await metrics(absorbed.shop)).join("\n");
  expect(text).toMatch(/mecha_faults_injected_total\{target="app\/orders",fault="abort"\} [1-9]/);

  const all = { match, fault: { abort: { code: "unavailable" } }, circuitBreaker: { consecutive: 5 } };
  const { call, got } = await startScripted([policy(all)]);
  const answers = [await call(), await call(), await call()];
  expect(answers[0]?.text).toContain('policy \\"p\\" injects');
  expect(answers[2]?.text).toContain("circuit breaker");
  expect(got.length).toBe(0);
});

test("a delay counts as the instance's time", async () => {
  const spec = {
    match,
    fault: { delay: { duration: "10s" } },
    timeout: { perTry: "100ms" },
    retry: { maxAttempts: 1 },
  };
  const { call, got } = await startScripted([policy(spec)]);
  expect((await call()).status).toBe(504);
  expect(got.length).toBe(0);
});

test("a split sends calls by header and weight, and names the versions there are when nobody has one", async () => {
  const dataDir = temporaryFolder();
  for (const version of ["1", "2"]) {
    const app = await startApp((_request, response) => response.end(version));
    await startMeshRuntime("orders", dataDir, { appPort: app.port, mesh: { port: 0, version } });
  }
  const split = [
    { headers: { "x-canary": "1" }, version: "2" },
    { headers: { "x-canary": "next" }, version: "3" },
    { weight: 100, version: "1" },
    { weight: 0, version: "2" },
  ];
  const shop = await startMeshRuntime("shop", dataDir, { resources: [policy({ split })] });
  await findsApp(shop, "orders");
  const call = async (headers: Record<string, string> = {}) =>
    (await fetch(`${shop.endpoint}/invoke/orders/x`, { headers })).text();
  await until(async () => (await call({ "x-canary": "1" })) === "2", "version 2 is found");
  const answers = new Set<string>();
  for (let index = 0; index < 20; index++) answers.add(await call());
  expect([...answers]).toEqual(["1"]);
  expect(await call({ "x-canary": "next" })).toMatch(/is of version 3.*there are of version: (1, 2|2, 1)/);
});

test("policies change while the runtime runs; the state of what did not change stays", async () => {
  const folder = temporaryFolder();
  const file = join(folder, "mecha.yaml");
  const breaker = "circuitBreaker: { consecutive: 1, openFor: 1h }";
  const document = (name: string, spec: string) =>
    `--- { apiVersion: mecha.dev/v1, kind: Policy, metadata: { name: ${name} }, spec: { target: { app: orders }, ${spec} } }\n`;
  const write = (rest: string, other: string) =>
    writeFileSync(
      file,
      document("p", `match: { paths: [/x] }, ${breaker}, ${rest}`) + document("q", `match: { paths: [/y] }, ${other}`),
    );
  write("bulkhead: { maxConcurrent: 10 }", "timeout: { total: 1m }");
  const { url } = await startPair((_request, response) => response.writeHead(503).end(), {
    shop: { resources: [file], watchResources: true, components: [sqlite] },
  });
  const call = async () => (await fetch(`${url}/x`)).text();
  await call();
  expect(await call()).toContain("circuit breaker");
  write("timeout: { total: 1s }, bulkhead: { maxConcurrent: 9 }", "fault: { abort: { status: 418 } }");
  await until(async () => (await fetch(`${url}/y`)).status === 418, "the change is taken");
  expect(await call()).toContain("circuit breaker");
  writeFileSync(file, "");
  await until(async () => !(await call()).includes("circuit breaker"), "the breaker is gone with its policy");
});

test("instances that share a rate limit through a store take so many calls between them", async () => {
  const dataDir = temporaryFolder();
  const store = {
    apiVersion: "mecha.dev/v1" as const,
    kind: "Component",
    metadata: { name: "limits" },
    spec: { type: "sqlite" },
  };
  const resources = [store, policy({ match, rateLimit: { rate: "1/h", burst: 5, store: "limits" } })];
  for (const name of ["a", "b"]) {
    const app = await startApp((_request, response) => response.end(name));
    await startMeshRuntime("orders", dataDir, { appPort: app.port, resources });
  }
  const shop = await startMeshRuntime("shop", dataDir);
  await findsApp(shop, "orders");
  const answers = new Map<number, number>();
  for (let index = 0; index < 20; index++) {
    const { status } = await fetch(`${shop.endpoint}/invoke/orders/x`);
    answers.set(status, (answers.get(status) ?? 0) + 1);
  }
  expect(answers.get(200)).toBe(5);
  expect(answers.get(429)).toBe(15);
});

test("the app's calls of a component are under its policies, from the moment that these change", async () => {
  const file = join(temporaryFolder(), "mecha.yaml");
  const limit = (rate: string) =>
    `{ apiVersion: mecha.dev/v1, kind: Policy, metadata: { name: p }, spec: { target: { component: memory }, rateLimit: { rate: ${rate}, burst: 2 } } }`;
  writeFileSync(file, limit("1/h"));
  const runtime = await startRuntime({ resources: [component("memory"), file], watchResources: true });
  const get = async () => (await callState(runtime.endpoint, "Get", { key: "a" })).reason;
  expect([await get(), await get(), await get()]).toEqual([undefined, undefined, "RATE_LIMITED"]);
  writeFileSync(file, "");
  await until(async () => (await get()) === undefined, "the limit is gone");
  expect([await get(), await get(), await get()]).toEqual([undefined, undefined, undefined]);
  writeFileSync(file, limit("1/h"));
  await until(async () => (await get()) === "RATE_LIMITED", "the limit is back");
});
