import type { IncomingMessage, ServerResponse } from "node:http";
import { connect } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { temporaryFolder } from "../../test/helpers.js";
import { findsApp, startApp, startMeshRuntime } from "../../test/mesh.js";
import { checkResources, type ResourceObject } from "../index.js";

const policy = (name: string, spec: Record<string, unknown>): ResourceObject => ({
  apiVersion: "mecha.dev/v1",
  kind: "Policy",
  metadata: { name },
  spec: { target: { app: "orders" }, ...spec },
});

/** An edge that exposes what is public of "orders", which echoes the headers that it gets. */
async function start(...more: ResourceObject[]) {
  const seen: IncomingMessage[] = [];
  const app = await startApp((request: IncomingMessage, response: ServerResponse) => {
    seen.push(request);
    response.setHeader("etag", "1").end(JSON.stringify(request.headers));
  });
  const dataDir = temporaryFolder();
  const resources = [policy("edge", { match: { paths: ["/public/**"] }, edge: { expose: true } }), ...more];
  await startMeshRuntime("orders", dataDir, { appPort: app.port, resources });
  const edge = await startMeshRuntime("gateway", dataDir, { resources, token: "secret", edge: { port: 0 } });
  await findsApp(edge, "orders", "secret");
  seen.length = 0;
  return { seen, url: String(edge.edgeEndpoint), inside: edge.endpoint };
}

test("outsiders reach what a policy exposes, as calls of the edge's app, and without a token", async () => {
  const { url } = await start();
  const headers = {
    "mecha-caller": "billing",
    "x-forwarded-for": "1.2.3.4",
    "x-forwarded-host": "evil.example",
    forwarded: "for=1.2.3.4",
    authorization: "Bearer own",
  };
  const got = (await (await fetch(`${url}/invoke/orders/public/1`, { headers })).json()) as Record<string, string>;
  expect(got).toMatchObject({
    "mecha-caller": "gateway",
    "x-forwarded-for": "127.0.0.1",
    "x-forwarded-proto": "http",
    "x-forwarded-host": new URL(url).host,
    authorization: "Bearer own",
  });
  expect(got.forwarded).toBeUndefined();
  const named = await fetch(`${url}/public/2`, { headers: { "mecha-app": "orders" } });
  expect(named.status).toBe(200);
});

test("all else is not there: paths and apps that are not exposed, whether they exist or not, blocks, metrics, other apps' names", async () => {
  const { url, seen } = await start();
  const hidden = [
    "/invoke/orders/",
    "/invoke/orders/private",
    "/invoke/orders/PUBLIC/1",
    "/invoke/orders/public/../private",
    "/invoke/orders/public/%2e%2e/private",
    "/invoke/gateway/",
    "/invoke/nobody/x",
    "/state/a",
    "/publish/a",
    "/metrics",
    "/readyz",
    "/",
  ];
  for (const path of hidden) {
    const response = await fetch(`${url}${path}`);
    const body = await response.text();
    expect([path, response.status]).toEqual([path, 404]);
    expect(body).not.toMatch(/gateway|billing|sqlite|\.mecha/);
  }
  const rpc = await fetch(`${url}/mecha.state.v1.StateService/Get`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"key":"a"}',
  });
  expect(rpc.status).toBe(404);
  expect((await fetch(`${url}/invoke/orders/public/a%2fb`)).status).toBe(400);
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  expect(seen).toHaveLength(0);
});

test("pages of the origins that are named may call; their preflights are answered for the app", async () => {
  const cors = {
    origins: ["https://shop.example"],
    methods: ["GET", "PUT"],
    exposeHeaders: ["etag"],
    credentials: true,
  };
  const { url, seen } = await start(policy("cors", { match: { from: ["gateway"] }, cors }));
  const target = `${url}/invoke/orders/public/1`;
  const preflight = await fetch(target, {
    method: "OPTIONS",
    headers: {
      origin: "https://shop.example",
      "access-control-request-method": "PUT",
      "access-control-request-headers": "x-a",
    },
  });
  expect(preflight.status).toBe(204);
  expect(Object.fromEntries(preflight.headers)).toMatchObject({
    "access-control-allow-origin": "https://shop.example",
    "access-control-allow-methods": "GET, PUT",
    "access-control-allow-headers": "x-a",
    "access-control-allow-credentials": "true",
    "access-control-max-age": "600",
    vary: "Origin",
  });
  expect(seen).toHaveLength(0);
  const answer = await fetch(target, { headers: { origin: "https://shop.example" } });
  expect(answer.headers.get("access-control-allow-origin")).toBe("https://shop.example");
  expect(answer.headers.get("access-control-expose-headers")).toBe("etag");

  const foreign = await fetch(target, { headers: { origin: "https://evil.example" } });
  expect(foreign.status).toBe(403);
  expect(foreign.headers.get("access-control-allow-origin")).toBeNull();
  expect((await fetch(target, { headers: { origin: url } })).status).toBe(200);
  expect((await fetch(target)).headers.get("access-control-allow-origin")).toBeNull();
  expect(seen).toHaveLength(3);
});

test("a page of a foreign origin opens no WebSocket", async () => {
  const { url, seen } = await start(
    policy("cors", { match: { from: ["gateway"] }, cors: { origins: ["https://shop.example"] } }),
  );
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  socket.write(
    "GET /invoke/orders/public/chat HTTP/1.1\r\nhost: localhost\r\norigin: https://evil.example\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  );
  const answer = await new Promise<string>((resolve) => socket.once("data", (data) => resolve(data.toString())));
  expect(answer).toMatch(/^HTTP\/1\.1 403 /);
  expect(seen).toHaveLength(0);
});

test("what outsiders reach is said app by app", async () => {
  const { problems } = await checkResources({
    resources: [{ ...policy("all", {}), spec: { target: { app: "*" }, edge: { expose: true } } }],
    environment: {},
  });
  expect(problems.map(({ message }) => message)).toEqual(["name the app: what outsiders reach is said one by one"]);
});
