import { hash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { component, until } from "../../test/helpers.js";
import { startIssuer } from "../../test/issuer.js";
import { startPair } from "../../test/mesh.js";
import { checkResources, type ResourceObject } from "../index.js";

const policy = (spec: Record<string, unknown>, name = "orders"): ResourceObject => ({
  apiVersion: "mecha.dev/v1",
  kind: "Policy",
  metadata: { name },
  spec: { target: { app: "orders" }, match: { paths: ["/orders/**"] }, ...spec },
});

/** "shop" calls "orders", which has these policies and answers with the headers that it got, as JSON. */
async function start(...resources: ResourceObject[]) {
  const seen: IncomingMessage[] = [];
  const echo = (incoming: IncomingMessage, response: ServerResponse) => {
    seen.push(incoming);
    incoming.resume().once("end", () => response.end(JSON.stringify(incoming.headers)));
  };
  return { ...(await startPair(echo, { orders: { resources, appToken: "own" } })), seen };
}

/** The headers that the app got. */
const echoed = async (response: Response) => (await response.json()) as Record<string, string>;

const reasonOf = async (response: Response) => {
  const { details = [] } = (await response.json()) as { details?: { debug?: { reason?: string } }[] };
  return details.find(({ debug }) => debug?.reason !== undefined)?.debug?.reason;
};

test("a token is asked for, on every spelling of the path that some framework takes for the same", async () => {
  const issuer = await startIssuer();
  const { url, seen } = await start(policy({ jwt: { issuer: issuer.url, audience: ["shop"] } }));
  for (const path of ["/orders/7", "/orders", "/ORDERS/7", "/orders;v=1/7", "/%6frders/7", "//orders/7", "/orders/"]) {
    const response = await fetch(`${url}${path}`, { headers: { "mecha-claims": "e30" } });
    expect([path, response.status]).toEqual([path, 401]);
    expect(response.headers.get("www-authenticate")).toBe('Bearer error="invalid_token"');
    expect(await reasonOf(response)).toBe("BAD_TOKEN");
  }
  expect(seen).toHaveLength(0);
  expect((await fetch(`${url}/public`, { headers: { "mecha-claims": "e30" } })).status).toBe(200);
  expect(seen.at(-1)?.headers["mecha-claims"]).toBeUndefined();

  const authorization = `Bearer ${await issuer.sign({ sub: "ann" })}`;
  const got = await echoed(await fetch(`${url}/orders/7`, { headers: { authorization } }));
  expect(JSON.parse(Buffer.from(got["mecha-claims"] ?? "", "base64url").toString())).toMatchObject({ sub: "ann" });
  expect(got).toMatchObject({ authorization, "mecha-token": "own", "mecha-caller": "shop" });
});

test("a token may be optional, in a cookie, and kept from the app; a wrong one is refused all the same", async () => {
  const issuer = await startIssuer();
  const jwt = { issuer: issuer.url, audience: ["shop"], required: false, from: { cookie: "session" }, forward: false };
  const { url } = await start(policy({ jwt }));
  expect((await fetch(`${url}/orders/7`)).status).toBe(200);
  expect((await fetch(`${url}/orders/7`, { headers: { cookie: "a=1; session=x" } })).status).toBe(401);
  const cookie = `a=1; session=${await issuer.sign({})}; b=2`;
  const got = await echoed(await fetch(`${url}/orders/7`, { headers: { cookie } }));
  expect(got.cookie).toBe("a=1; b=2");
  expect(got.authorization).toBe("Bearer own");
});

test("access policies decide by what a verified token says, or whose API key it is", async () => {
  const issuer = await startIssuer();
  const key = "k".repeat(32);
  const { url } = await start(
    policy({
      jwt: { issuer: issuer.url, audience: ["shop"], required: false },
      apiKeys: { keys: { partner: `sha256:${hash("sha256", key)}` }, required: false },
    }),
    {
      apiVersion: "mecha.dev/v1",
      kind: "AccessPolicy",
      metadata: { name: "orders" },
      spec: {
        app: "orders",
        rules: [
          { paths: ["/found"] },
          { methods: ["GET"], claims: { "mecha/api-key": "partner" } },
          { claims: { roles: "admin" } },
        ],
      },
    },
  );
  const call = async (method: string, headers: Record<string, string>) =>
    (await fetch(`${url}/orders/7`, { method, headers })).status;
  const bearer = async (claims: Record<string, unknown>) => ({ authorization: `Bearer ${await issuer.sign(claims)}` });
  expect(await call("DELETE", await bearer({ roles: ["admin"] }))).toBe(200);
  expect(await call("DELETE", await bearer({ roles: ["user"] }))).toBe(403);
  expect(await call("GET", await bearer({ "mecha/api-key": "partner" }))).toBe(403);
  expect(await call("GET", {})).toBe(403);
  expect(await call("GET", { "x-api-key": key })).toBe(200);
  expect(await call("DELETE", { "x-api-key": key })).toBe(403);
  expect(await call("GET", { "x-api-key": `${key}x` })).toBe(401);
  const got = await echoed(await fetch(`${url}/orders/7`, { headers: { "x-api-key": key } }));
  expect(got["mecha-api-key"]).toBe("partner");
  expect(got["x-api-key"]).toBeUndefined();
});

test("a body that is too large is refused by its length, or in its midst", async () => {
  const { url, seen } = await start(policy({ request: { maxBytes: 1_000 } }));
  const post = (body: NonNullable<RequestInit["body"]>) =>
    fetch(`${url}/orders`, { method: "POST", body, duplex: "half" });
  expect((await post("x".repeat(1_000))).status).toBe(200);
  const refused = await post("x".repeat(1_001));
  expect(refused.status).toBe(413);
  expect(await reasonOf(refused)).toBe("TOO_LARGE");
  expect(seen).toHaveLength(1);
  const chunks = Readable.from(Array.from({ length: 100 }, () => Buffer.alloc(100)));
  expect((await post(Readable.toWeb(chunks))).status).toBe(413);
  expect((await post("x")).status).toBe(200);
});

test("only the headers that are named reach the app, beside those that it needs", async () => {
  const { url } = await start(policy({ request: { allowHeaders: ["x-tenant"] } }));
  const headers = {
    "x-tenant": "a",
    "x-debug": "1",
    cookie: "a=1",
    traceparent: "00-1-1-01",
    "content-type": "text/plain",
  };
  const got = await echoed(await fetch(`${url}/orders`, { method: "POST", headers, body: "x" }));
  expect(got).toMatchObject({ "x-tenant": "a", traceparent: "00-1-1-01", "content-type": "text/plain" });
  expect(got).toMatchObject({ "mecha-caller": "shop", authorization: "Bearer own" });
  expect(got["x-debug"]).toBeUndefined();
  expect(got.cookie).toBeUndefined();
});

test("what is above the rate is told when to come again, and who else calls is not slowed", async () => {
  const { url } = await start(policy({ rateLimit: { rate: "1/m", burst: 2, per: "caller" } }));
  const answers = [await fetch(`${url}/orders/1`), await fetch(`${url}/orders/2`), await fetch(`${url}/orders/3`)];
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 429]);
  const retryAfter = Number(answers[2]?.headers.get("retry-after"));
  expect(retryAfter).toBeGreaterThan(50);
  expect(retryAfter).toBeLessThanOrEqual(60);
  expect((await fetch(`${url}/elsewhere`)).status).toBe(200);
});

test("the app has no more calls at a time than it takes; some wait, the rest is refused, and whoever goes frees a place", async () => {
  let now = 0;
  let most = 0;
  const held: (() => void)[] = [];
  const hold = (incoming: IncomingMessage, response: ServerResponse) => {
    now += 1;
    most = Math.max(most, now);
    response.once("close", () => {
      now -= 1;
    });
    incoming.resume();
    held.push(() => response.end());
  };
  const concurrency = { maxConcurrent: 2, maxQueue: 1, maxWait: "30s" };
  const retry = policy({ retry: { maxAttempts: 1 } }, "once");
  const { url } = await startPair(hold, {
    orders: { resources: [policy({ concurrency })] },
    shop: { resources: [retry] },
  });
  const first = new AbortController();
  const calls = [fetch(`${url}/orders/1`, { signal: first.signal }).catch(() => undefined), fetch(`${url}/orders/2`)];
  await until(() => held.length === 2, "two are with the app");
  const third = fetch(`${url}/orders/3`);
  await until(async () => (await fetch(`${url}/orders/4`)).status === 503, "the fourth is refused");
  expect(held).toHaveLength(2);
  first.abort();
  await until(() => held.length === 3, "the third has its turn");
  for (const end of held) end();
  expect((await third).status).toBe(200);
  await Promise.all(calls);
  expect(most).toBeLessThanOrEqual(3);
});

test("what is wrong is told with what would be right", async () => {
  const { problems } = await checkResources({
    resources: [
      component("a"),
      policy({ jwt: { issuer: "me", audience: ["shop"] } }, "one"),
      policy({ cors: { origins: ["*"], credentials: true } }, "two"),
      policy({ apiKeys: { keys: { partner: "secret" } } }, "three"),
      policy({ request: {}, match: { paths: ["/a"] } }, "four"),
      policy({ target: { app: "*" }, edge: { expose: true } }, "five"),
    ],
    environment: {},
  });
  expect(problems.map(({ message }) => message)).toEqual([
    '"jwks" is missing: "issuer" is no https URL whose configuration could name the keys',
    '"credentials" needs "origins" by name: "*" would let every page act as its visitor',
    expect.stringContaining('must be "sha256:" and the SHA-256 of the key'),
    'it says nothing: write "maxBytes" or "allowHeaders"',
    "name the app: what outsiders reach is said one by one",
  ]);
});
