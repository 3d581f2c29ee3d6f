import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { memory } from "@mecha/component-memory";
import { expect, test } from "vitest";
import { component, temporaryFolder } from "../../test/helpers.js";
import { explainPolicies } from "./explain.js";
import { createPolicies } from "./policies.js";
import { readPolicies } from "./read.js";

/** Policies of one file, each as `{ name, spec }` in YAML flow style, one a line: the line says which. */
async function read(...specs: string[]) {
  const file = join(temporaryFolder(), "mecha.yaml");
  const documents = specs.map(
    (spec, index) => `--- { apiVersion: mecha.dev/v1, kind: Policy, metadata: { name: p${index + 1} }, spec: ${spec} }`,
  );
  writeFileSync(file, documents.join("\n"));
  const { policies, problems } = await readPolicies({
    resources: [file, component("db")],
    components: [memory],
    environment: {},
  });
  return { policies, problems: problems.map(({ source, message }) => `${source.replace(/.*:/, "")}: ${message}`) };
}

const wrong: [spec: string, problem: RegExp][] = [
  ["{ target: { app: orders }, timeouts: { total: 1s } }", /unknown field "timeouts"; did you mean "timeout"/],
  ["{ target: { app: orders } }", /it says nothing; it may have: bulkhead, timeout/],
  ["{ target: {}, timeout: { total: 1s } }", /"target" needs one of "app" and "component"/],
  ["{ target: { app: a, component: b }, timeout: { total: 1s } }", /"target" needs one of/],
  ["{ target: { app: orders }, timeout: { total: 1s, perTry: 2s } }", /"perTry" \(2s\) is more than "total" \(1s\)/],
  ["{ target: { app: orders }, timeout: { total: 1 } }", /"spec.timeout.total" must be a string/],
  ["{ target: { app: orders }, rateLimit: { rate: fast } }", /write how many calls in a second/],
  ["{ target: { app: orders }, rateLimit: { rate: 0/s } }", /more than 0/],
  ["{ target: { app: orders }, rateLimit: { rate: 1/s, store: nowhere } }", /no state component "nowhere".*db/],
  ["{ target: { app: orders }, split: [{ weight: 0, version: a }] }", /the sum of the weights is 0/],
  ["{ target: { app: orders }, split: [{ weight: 1 }] }", /it names no instances/],
  ["{ target: { app: orders }, split: [{ version: a }] }", /one of "weight" and "headers"/],
  ["{ target: { app: orders }, balancing: { algorithm: ring-hash } }", /needs "hashOn"/],
  ["{ target: { app: orders }, circuitBreaker: { consecutive: 5, minCalls: 3 } }", /"minCalls" is for "errorRate"/],
  ["{ target: { app: orders }, circuitBreaker: {} }", /one of "consecutive" and "errorRate"/],
  ["{ target: { app: orders }, retry: { on: [sometimes] } }", /retry.on/],
  ["{ target: { app: orders }, match: { paths: [orders] }, timeout: { total: 1s } }", /a path begins with "\/"/],
  ["{ target: { component: db }, match: { from: [shop] }, timeout: { total: 1s } }", /"match" is for apps/],
  ["{ target: { component: db }, split: [{ weight: 1, version: a }] }", /"split" is for apps, not for components/],
  ["{ target: { component: bd }, timeout: { total: 1s } }", /no component "bd"; did you mean "db"/],
  ["{ target: { component: db }, fault: { abort: { status: 503 } } }", /components have no HTTP status/],
];

test.each(wrong)("%s is refused, with its line", async (spec, problem) => {
  const { problems } = await read("{ target: { app: other }, timeout: { total: 1s } }", spec);
  expect(problems).toEqual([expect.stringMatching(problem)]);
  expect(problems[0]).toMatch(/^2: /);
});

test("each method that calls may have can be named", async () => {
  const { policies, problems } = await read(
    "{ target: { app: orders }, match: { methods: [M-SEARCH] }, timeout: { total: 1s }, retry: { methods: [VERSION-CONTROL] } }",
    '{ target: { app: mail }, cors: { origins: ["*"], methods: [M-SEARCH] } }',
    "{ target: { app: wiki }, match: { methods: [get] }, timeout: { total: 1s } }",
  );
  expect(problems).toEqual([expect.stringMatching(/^3: .*must be an HTTP method in capitals/)]);
  expect(policies.length).toBe(2);
});

test("two policies that are equally specific and can fit the same call may not have the same section", async () => {
  const { problems } = await read(
    "{ target: { app: orders }, match: { methods: [GET, PUT] }, timeout: { total: 1s } }",
    "{ target: { app: orders }, match: { methods: [PUT, POST] }, timeout: { total: 2s }, retry: { maxAttempts: 2 } }",
  );
  expect(problems).toEqual([
    expect.stringMatching(/^2: conflicting policies: "p1" at .*mecha.yaml:1 says "timeout" too/),
  ]);
});

const together: [string, string][] = [
  ["methods: [GET]", "methods: [POST]"],
  ["from: [a]", "from: [b]"],
  ['paths: ["/a/{x}"]', 'paths: ["/b/{x}"]'],
  ['paths: ["/a"]', 'paths: ["/a/{x}"]'],
  ['headers: { x-a: "1" }', 'headers: { x-a: "2" }'],
  ["headers: { x-a: { present: true } }", "headers: { x-a: { present: false } }"],
  ["from: [a]", "methods: [GET]"],
];

test.each(together)("%s and %s do not conflict", async (a, b) => {
  const { problems } = await read(
    `{ target: { app: orders }, match: { ${a} }, timeout: { total: 1s } }`,
    `{ target: { app: orders }, match: { ${b} }, timeout: { total: 2s } }`,
  );
  expect(problems).toEqual([]);
});

test("for each section by itself the most specific policy holds, and the explanation says why", async () => {
  const { policies, problems } = await read(
    '{ target: { app: "*" }, timeout: { total: 9s }, bulkhead: { maxConcurrent: 7 } }',
    "{ target: { app: orders }, timeout: { total: 1s } }",
    '{ target: { app: orders }, match: { paths: ["/admin/**"] }, timeout: { total: 2s } }',
    '{ target: { app: orders }, match: { paths: ["/admin/{x}"], methods: [GET] }, timeout: { total: 3s } }',
    '{ target: { app: orders }, match: { headers: { x-canary: "1" } }, timeout: { total: 4s } }',
  );
  expect(problems).toEqual([]);
  const set = createPolicies();
  set.replace(policies);
  const timeoutOf = (method: string, path: string, headers = {}) =>
    set.forCall("orders", { from: "shop", method, path, headers }).timeout?.policy;
  expect(timeoutOf("GET", "/admin/x")).toBe("p4");
  expect(timeoutOf("POST", "/admin/x")).toBe("p3");
  expect(timeoutOf("POST", "/x")).toBe("p2");
  expect(timeoutOf("POST", "/x", { "x-canary": "1" })).toBe("p5");
  expect(timeoutOf("POST", "/admin/x", { "x-canary": "1" })).toBe("p3");
  const bulkhead = set.forCall("orders", { from: "shop", method: "GET", path: "/admin/x", headers: {} }).bulkhead;
  expect(bulkhead).toEqual({ policy: "p1", value: { maxConcurrent: 7, maxQueue: 0, maxWait: 1000 } });
  expect(set.forCall("mail", { from: "shop", method: "GET", path: "/", headers: {} }).timeout?.policy).toBe("p1");

  const explained = explainPolicies(policies, { from: "shop", to: "orders", method: "GET", path: "/admin/x" });
  const timeout = explained.find(({ section }) => section === "timeout");
  expect(timeout).toMatchObject({
    policy: "p4",
    value: { total: "3s" },
    by: "caller",
    source: expect.stringMatching(/:4$/),
  });
  expect(timeout?.lost).toEqual([
    { policy: "p3", source: expect.stringMatching(/:3$/), why: "less specific by path" },
    {
      policy: "p5",
      source: expect.stringMatching(/:5$/),
      why: 'header x-canary is not "1"',
    },
    { policy: "p2", source: expect.stringMatching(/:2$/), why: "less specific by path" },
    { policy: "p1", source: expect.stringMatching(/:1$/), why: "less specific by target" },
  ]);
  expect(explained.find(({ section }) => section === "retry")).toMatchObject({ policy: undefined, value: {} });
});

test("what did not change stays the same object, so that what is kept for it lives on", async () => {
  const before = await read("{ target: { app: orders }, timeout: { total: 1s }, bulkhead: { maxConcurrent: 1 } }");
  const after = await read("{ target: { app: orders }, timeout: { total: 2s }, bulkhead: { maxConcurrent: 1 } }");
  const set = createPolicies();
  const get = () => set.forCall("orders", { from: "shop", method: "GET", path: "/", headers: {} });
  set.replace(before.policies);
  const first = get();
  set.replace(after.policies);
  expect(get().bulkhead).toBe(first.bulkhead);
  expect(get().timeout).not.toBe(first.timeout);
  expect(get().timeout?.value).toEqual({ total: 2000 });
  set.replace([]);
  expect(get().bulkhead).toBeUndefined();
});

test("what docs/policies.md shows is what may be written", async () => {
  const page = readFileSync(new URL("../../../../docs/policies.md", import.meta.url), "utf8");
  const examples = [...page.matchAll(/^```yaml\n(.*?)^```/gms)].map(([, text]) => text);
  expect(examples.length).toBeGreaterThan(5);
  const file = join(temporaryFolder(), "mecha.yaml");
  writeFileSync(file, examples.join("---\n"));
  const { policies, problems } = await readPolicies({ resources: [file], components: [memory], environment: {} });
  expect(problems).toEqual([]);
  expect(policies.length).toBe(examples.length);
});
