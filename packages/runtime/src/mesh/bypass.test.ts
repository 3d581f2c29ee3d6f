import { hash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import * as http2 from "node:http2";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { expect, onTestFinished, test } from "vitest";
import { temporaryFolder, until } from "../../test/helpers.js";
import { findsApp, openRaw, startApp, startMeshRuntime, startPair } from "../../test/mesh.js";
import type { ResourceObject } from "../index.js";

// Ways around what protects an app, each of which worked once.

const policy = (name: string, spec: Record<string, unknown>): ResourceObject => ({
  apiVersion: "mecha.dev/v1",
  kind: "Policy",
  metadata: { name },
  spec: { target: { app: "orders" }, ...spec },
});

/** An edge that exposes all of "orders", which has these policies, too. */
async function startEdge(
  handle: (request: IncomingMessage, response: ServerResponse) => void,
  ...more: ResourceObject[]
) {
  const app = await startApp((request, response) => {
    if (request.url === "/found") response.end();
    else handle(request, response);
  });
  const dataDir = temporaryFolder();
  const resources = [
    policy("edge", { edge: { expose: true } }),
    { ...policy("ghost", {}), spec: { target: { app: "ghost" }, edge: { expose: true } } },
    ...more,
  ];
  const orders = await startMeshRuntime("orders", dataDir, { appPort: app.port, resources });
  const edge = await startMeshRuntime("gateway", dataDir, { resources, edge: { port: 0 } });
  await findsApp(edge, "orders");
  return { app, orders, url: String(edge.edgeEndpoint) };
}

test("what needs no token at the runtime's own paths needs one for another app, whatever the path looks like", async () => {
  const seen: string[] = [];
  const { shop } = await startPair(
    (request, response) => response.end(void seen.push(`${request.method} ${request.url}`)),
    {
      shop: { token: "secret" },
    },
  );
  for (const line of ["GET /webhook/../admin", "POST /webhook/x", "DELETE /metrics?x", "GET /healthz"]) {
    const { socket, text: said } = openRaw(shop);
    socket.write(`${line} HTTP/1.1\r\nhost: localhost\r\nmecha-app: orders\r\ncontent-length: 0\r\n\r\n`);
    await until(() => said().includes("\r\n\r\n"), "answered");
    expect([line, said().slice(9, 12)]).toEqual([line, "401"]);
  }
  const { socket, text: said } = openRaw(shop);
  socket.write("GET /webhook/a HTTP/1.1\r\nhost: evil.example\r\nmecha-app: orders\r\nmecha-token: secret\r\n\r\n");
  await until(() => said().includes("\r\n\r\n"), "answered");
  expect(said().slice(9, 12)).toBe("403");
  expect(seen).toEqual([]);
});

test.each(["post", "Post", "dELETE", "trace", "TRACE", "P OST", "get"])(
  "method %s is not passed on",
  async (method) => {
    const seen: string[] = [];
    const { url } = await startEdge((request, response) => response.end(void seen.push(String(request.method))));
    const session = http2.connect(url);
    onTestFinished(() => session.destroy());
    const status = await new Promise((resolve) => {
      const stream = session.request({ ":method": method, ":path": "/x", "mecha-app": "orders" });
      stream.once("response", (headers) => resolve(headers[":status"]));
      stream.once("error", () => resolve("reset"));
      stream.end();
    });
    expect([400, "reset"]).toContain(status);
    expect(seen).toEqual([]);
  },
);

test("what a policy asks of GET it asks of HEAD", async () => {
  const keys = { partner: `sha256:${hash("sha256", "key")}` };
  const { url } = await startPair((_, response) => response.end(), {
    orders: { resources: [policy("keys", { match: { methods: ["GET"], paths: ["/secret"] }, apiKeys: { keys } })] },
  });
  expect((await fetch(`${url}/secret`, { method: "HEAD" })).status).toBe(401);
  expect((await fetch(`${url}/secret`, { method: "HEAD", headers: { "x-api-key": "key" } })).status).toBe(200);
});

test("limits of a path hold for its other spellings, from one bucket", async () => {
  const { url } = await startPair((request, response) => request.resume().once("end", () => response.end()), {
    orders: {
      resources: [
        policy("rate", { match: { paths: ["/login"] }, rateLimit: { rate: "1/h" } }),
        policy("size", { match: { paths: ["/up"] }, request: { maxBytes: 3 } }),
      ],
    },
  });
  const statuses: number[] = [];
  for (const path of ["/login", "/LOGIN", "/login/", "/login;1"]) statuses.push((await fetch(url + path)).status);
  expect(statuses).toEqual([200, 429, 429, 429]);
  for (const path of ["/up", "/UP", "/up;"]) {
    expect((await fetch(url + path, { method: "POST", body: "12345" })).status).toBe(413);
  }
});

test("an outsider learns nothing of what is behind the edge from its errors", async () => {
  const { url, app } = await startEdge((_, response) => response.end());
  const ghost = await fetch(`${url}/invoke/ghost/x`);
  expect(ghost.status).toBe(404);
  expect(await ghost.text()).not.toMatch(/orders|ghost|namespace|SQLite/);
  app.close();
  app.closeAllConnections();
  const dead = await fetch(`${url}/invoke/orders/x`);
  expect(dead.status).toBe(503);
  expect(await dead.text()).not.toMatch(/instance|127\.0\.0\.1|ECONN|gateway/);
});

test("where an outsider comes from is what the edge says, and nothing that the outsider does", async () => {
  const { url } = await startEdge((request, response) => response.end(JSON.stringify(request.headers)));
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  onTestFinished(() => void socket.destroy());
  socket.write(
    "GET /invoke/orders/x HTTP/1.1\r\nhost: shop.example\r\nconnection: close, x-forwarded-for, x-forwarded-host, x-forwarded-proto\r\n" +
      "x_forwarded_for: 6.6.6.6\r\nx-real-ip: 6.6.6.6\r\nx-original-url: /admin\r\nx-forwarded-user: root\r\nmecha.caller: billing\r\n\r\n",
  );
  const answer = await text(socket);
  const got = JSON.parse(answer.slice(answer.indexOf("{"), answer.lastIndexOf("}") + 1)) as Record<string, string>;
  expect(got).toMatchObject({
    "x-forwarded-for": "127.0.0.1",
    "x-forwarded-proto": "http",
    "x-forwarded-host": "shop.example",
  });
  expect(JSON.stringify(got)).not.toMatch(/6\.6\.6\.6|admin|root|billing/);
});

const upgrade = (path: string) =>
  `GET /invoke/orders${path} HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`;

test("a place at the app is given back when whoever asked for a WebSocket leaves before the answer", async () => {
  const { url, app } = await startEdge(
    (_, response) => response.end(),
    policy("one", { match: { from: ["gateway"] }, concurrency: { maxConcurrent: 1 }, retry: { maxAttempts: 1 } }),
  );
  // Never granted.
  app.on("upgrade", (_, held) => onTestFinished(() => void held.destroy()));
  const call = async () => (await fetch(`${url}/invoke/orders/x`)).status;
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.write(upgrade("/hang"));
  await until(async () => (await call()) === 503, "the place is taken");
  socket.end();
  await until(async () => (await call()) === 200, "the place is free");
});

test("a place at the app is given back when a body is too large before the app was reached", async () => {
  const { url } = await startPair((request, response) => request.resume().once("end", () => response.end()), {
    orders: {
      resources: [
        policy("both", { match: { paths: ["/up"] }, request: { maxBytes: 10 }, concurrency: { maxConcurrent: 2 } }),
      ],
    },
  });
  const large = () =>
    fetch(`${url}/up`, {
      method: "POST",
      headers: { "content-type": "application/connect+json" },
      body: new ReadableStream({
        start(controller) {
          controller.enqueue(Buffer.alloc(100));
          controller.close();
        },
      }),
      duplex: "half",
    }).then(
      (response) => response.text(),
      () => "",
    );
  await Promise.all([large(), large(), large()]);
  await until(async () => (await fetch(`${url}/up`, { method: "POST", body: "x" })).status === 200, "a place is free");
});
