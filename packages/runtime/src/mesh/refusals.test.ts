import { createServer, get, request } from "node:http";
import { connect } from "node:http2";
import { text } from "node:stream/consumers";
import { expect, onTestFinished, test } from "vitest";
import { component, startRuntime, temporaryFolder, until } from "../../test/helpers.js";
import { findsApp, openRaw, startApp, startMeshRuntime, startPair } from "../../test/mesh.js";

interface Refusal {
  readonly code: string;
  readonly message: string;
  readonly details: { readonly debug: { readonly reason: string } }[];
}

async function refusalOf(response: Response): Promise<{ status: number; reason: string | undefined; message: string }> {
  const { message, details } = (await response.json()) as Refusal;
  return { status: response.status, reason: details[0]?.debug.reason, message };
}

test("an app that nobody knows is 404, with the apps that there are and where it was looked for", async () => {
  const { url, shop } = await startPair((_request, response) => response.end());
  const response = await fetch(url.replace("/orders", "/ordres/x"));
  expect(await refusalOf(response)).toEqual({
    status: 404,
    reason: "APP_NOT_FOUND",
    message:
      'there is no app "ordres" in namespace "default" of the SQLite database that runtimes of a host share; there is: orders',
  });
  await expect(refusalOf(await fetch(`${shop.endpoint}/invoke/../invoke/nobody`))).resolves.toMatchObject({
    status: 404,
  });
});

test("an app that is known and has no instance is 503 with Retry-After; so is one whose instances have weight 0", async () => {
  const { orders, url } = await startPair((_request, response) => response.end());
  await orders.close();
  await until(async () => (await fetch(`${url}/x`)).status === 503, "it is gone at once");
  const response = await fetch(`${url}/x`);
  expect(response.headers.get("retry-after")).toBe("1");
  expect(await refusalOf(response)).toMatchObject({ reason: "APP_UNAVAILABLE", message: /has no instance now/ });
  const dataDir = temporaryFolder();
  const app = await startApp((_request, answer) => answer.end());
  await startMeshRuntime("orders", dataDir, { appPort: app.port, mesh: { port: 0, weight: 0 } });
  const shop = await startMeshRuntime("shop", dataDir);
  const call = () => fetch(`${shop.endpoint}/invoke/orders/x`);
  await until(async () => (await call()).status === 503, "it is known");
  expect(await refusalOf(await call())).toMatchObject({
    message: 'all 1 instances of app "orders" have weight 0, so none takes calls',
  });
});

test("without discovery the refusal says what to add", async () => {
  const runtime = await startRuntime({ resources: [component("memory")], mesh: { port: 0 } });
  expect(await refusalOf(await fetch(`${runtime.endpoint}/invoke/orders/x`))).toMatchObject({
    status: 404,
    message: /no component serves block "discovery": add one/,
  });
});

test("an app that does not listen any more is 503, and its runtime is found no more", async () => {
  const { app, url } = await startPair((_request, response) => response.end("here"));
  expect(await (await fetch(`${url}/x`)).text()).toBe("here");
  app.closeAllConnections();
  await new Promise((resolve) => app.close(resolve));
  const refusal = await refusalOf(await fetch(`${url}/x`, { method: "POST", body: "x" }));
  expect(refusal).toMatchObject({ status: 503, reason: "APP_UNAVAILABLE" });
  expect(refusal.message).toMatch(/does not listen on its port|has no instance now/);
});

test("calls in a circle end", async () => {
  let next = "";
  let calls = 0;
  const { shop } = await startPair(async (request, response) => {
    calls += 1;
    // As a gateway does that passes on what it gets.
    const headers = { "mecha-hops": String(request.headers["mecha-hops"]) };
    const answer = await fetch(next, { headers });
    response.writeHead(answer.status).end(await answer.text());
  });
  next = `${shop.endpoint}/invoke/orders/again`;
  const response = await fetch(next);
  expect(await refusalOf(response)).toMatchObject({ status: 508, reason: "TOO_MANY_HOPS" });
  expect(calls).toBe(16);
  for (const hops of ["x", "-1", "1e1", "99"]) {
    expect((await fetch(next, { headers: { "mecha-hops": hops } })).status).toBe(508);
  }
});

test("what only runtimes may say is not taken from anybody else, in whatever spelling", async () => {
  const { url } = await startPair((request, response) => response.end(JSON.stringify(request.headers)));
  const headers = {
    "mecha-caller": "admin",
    "Mecha-Caller-Id": "admin",
    mecha_caller: "admin",
    connection: "mecha-hops, x-mine",
    "x-mine": "of this connection",
  };
  const request = await new Promise<string>((resolve, reject) => {
    const outgoing = get(`${url}/x`, { headers }, (response) => text(response).then(resolve, reject));
    outgoing.once("error", reject);
  });
  const received = JSON.parse(request) as Record<string, string>;
  const own = Object.entries(received).filter(([name]) => /mecha|mine/.test(name));
  expect(Object.fromEntries(own)).toEqual({ "mecha-caller": "shop", "mecha-hops": "1" });
});

test("what lets an app call its runtime goes no further, and another authorization does", async () => {
  const { url } = await startPair((request, response) => response.end(request.headers.authorization ?? "none"), {
    shop: { token: "s3cret" },
  });
  const call = async (headers: Record<string, string>) => {
    const response = await fetch(`${url}/x`, { headers });
    return [response.status, response.status === 200 ? await response.text() : ""];
  };
  expect(await call({ authorization: "Bearer s3cret" })).toEqual([200, "none"]);
  expect(await call({ authorization: "bearer s3cret" })).toEqual([200, "none"]);
  expect(await call({ "mecha-token": "s3cret", authorization: "Bearer users-own" })).toEqual([200, "Bearer users-own"]);
  expect(await call({ authorization: "Bearer users-own" })).toEqual([401, ""]);
  expect(await call({ "mecha-token": "wrong", authorization: "Bearer s3cret" })).toEqual([401, ""]);
});

test.each([
  ["/a%2fb", "encoded slash"],
  ["/a%5cb", "encoded backslash"],
  ["/a%00", "control character"],
  ["/%zz", "encodes nothing"],
  ["/a/..;/b", "dot segment"],
])("the path %s is refused before anybody is called", async (path, words) => {
  const { shop } = await startPair((_request, response) => response.end("called"));
  const raw = openRaw(shop);
  raw.socket.write(`GET /invoke/orders${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`);
  await raw.closed;
  expect(raw.text()).toMatch(/^HTTP\/1\.1 400 /);
  expect(raw.text()).toContain(words);
});

test.each([
  ["/invoke/orders/a/%2e%2e/b//c", "/b/c"],
  ["/invoke/orders/../billing/x", "/billing/x"],
  ["/invoke/orders/../../../etc/passwd", "/etc/passwd"],
  ["/invoke/orders//admin", "/admin"],
])("the app gets %s as %s, and stays the app that was called", async (path, target) => {
  const { shop } = await startPair((request, response) => response.end(`orders: ${request.url}`));
  const raw = openRaw(shop);
  raw.socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`);
  await raw.closed;
  expect(raw.text()).toContain(`orders: ${target}`);
});

test("what is no app id is refused", async () => {
  const { shop } = await startPair((_request, response) => response.end());
  for (const path of [
    "/invoke/",
    "/invoke//x",
    "/invoke/Orders/x",
    "/invoke/or%64ers/x",
    "/invoke/a.b/x",
    "/invoke/-a/x",
  ]) {
    expect(await refusalOf(await fetch(shop.endpoint + path))).toMatchObject({ status: 400, message: /is no app id/ });
  }
  const response = await fetch(`${shop.endpoint}/x`, { headers: { "mecha-app": "a/b" } });
  expect(response.status).toBe(400);
});

test.each([
  ["both framings", "content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"],
  ["two lengths", "content-length: 4\r\ncontent-length: 5\r\n\r\nabcde"],
  ["a length that is none", "content-length: +4\r\n\r\nabcd"],
  ["an unknown coding", "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n"],
  ["chunked twice", "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n"],
  ["a space before the colon", "content-length : 4\r\n\r\nabcd"],
  ["a folded header", "x-a: 1\r\n content-length: 4\r\n\r\nabcd"],
  ["a bare line feed", "x-a: 1\ncontent-length: 4\r\n\r\nabcd"],
  ["a zero byte in a header", "x-a: 1\0\r\n\r\n"],
])("a request that servers read in different ways is refused: %s", async (_name, rest) => {
  let reached = false;
  const { shop } = await startPair((_request, response) => {
    reached = true;
    response.end();
  });
  const raw = openRaw(shop);
  raw.socket.write(`POST /invoke/orders/x HTTP/1.1\r\nhost: localhost\r\n${rest}`);
  raw.socket.end();
  await raw.closed;
  expect(raw.text()).toMatch(/^(HTTP\/1\.1 400 |$)/);
  expect(reached).toBe(false);
});

test("a second request in a body stays a body", async () => {
  const urls: string[] = [];
  const { shop } = await startPair(async (request, response) => {
    urls.push(`${request.url} ${await text(request)}`);
    response.end();
  });
  const inner = "GET /admin HTTP/1.1\r\nhost: x\r\n\r\n";
  for (const method of ["POST", "GET"]) {
    await new Promise<void>((resolve, reject) => {
      const headers = { "content-length": inner.length };
      const outgoing = request(`${shop.endpoint}/invoke/orders/x`, { method, headers }, (response) => {
        response.resume().once("end", resolve);
      });
      outgoing.once("error", reject);
      outgoing.end(inner);
    });
  }
  expect(urls).toEqual([`/x ${inner}`, `/x ${inner}`]);
});

test("a header that would make two cannot come over HTTP/2 either", async () => {
  const { shop } = await startPair((_request, response) => response.end());
  const session = connect(shop.endpoint);
  session.on("error", () => {});
  onTestFinished(() => session.destroy());
  for (const headers of [{ "transfer-encoding": "chunked" }, { connection: "close" }]) {
    expect(() => session.request({ ":path": "/invoke/orders/x", ...headers })).toThrow();
  }
  const stream = session.request({ ":path": "/invoke/orders/x", ":method": "POST", "content-length": "3" });
  stream.end("four");
  const outcome = await new Promise((resolve) => {
    stream.once("response", (answer) => resolve(answer[":status"]));
    stream.once("error", () => resolve("refused"));
  });
  expect(outcome).not.toBe(200);
});

test("what changes protocols, but to no WebSocket, is refused", async () => {
  const { shop } = await startPair((_request, response) => response.end());
  const raw = openRaw(shop);
  raw.socket.write("GET /invoke/orders/x HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\nupgrade: h2c\r\n\r\n");
  await raw.closed;
  expect(raw.text()).toMatch(/^HTTP\/1\.1 400 [\s\S]*only WebSockets/);
  const own = openRaw(shop);
  own.socket.write("GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade, close\r\nupgrade: h2c\r\n\r\n");
  await own.closed;
  expect(own.text()).toMatch(/^HTTP\/1\.1 200 /);
  const foreign = openRaw(shop);
  foreign.socket.write(
    "GET /invoke/orders/x HTTP/1.1\r\nhost: evil.example\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n",
  );
  await foreign.closed;
  expect(foreign.text()).toMatch(/^HTTP\/1\.1 403 /);
});

test("the mesh port is any free one when somebody has it", async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void other.close());
  const { port } = other.address() as { port: number };
  const dataDir = temporaryFolder();
  const app = await startApp((_request, response) => response.end("here"));
  await startMeshRuntime("orders", dataDir, { appPort: app.port, mesh: { port } });
  const shop = await startMeshRuntime("shop", dataDir);
  await findsApp(shop, "orders");
  expect(await (await fetch(`${shop.endpoint}/invoke/orders/x`)).text()).toBe("here");
});
