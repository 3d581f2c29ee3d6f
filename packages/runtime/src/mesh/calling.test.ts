import { createHash } from "node:crypto";
import * as http from "node:http";
import * as http2 from "node:http2";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { expect, onTestFinished, test } from "vitest";
import { until } from "../../test/helpers.js";
import { openRaw, startPair } from "../../test/mesh.js";

test("a call reaches the app as it was made, and its answer comes back as it was given", async () => {
  const { url } = await startPair(async (request, response) => {
    response.writeHead(418, "whatever", { "content-type": "text/x-own", "set-cookie": ["a=1", "b=2"], "x-own": "yes" });
    const { host, "user-agent": _, ...headers } = request.headers;
    response.end(JSON.stringify({ method: request.method, url: request.url, headers, body: await text(request) }));
  });
  const response = await fetch(`${url}/a/b?c=%2f&d`, {
    method: "PATCH",
    headers: {
      "content-type": "text/plain",
      "x-custom": "ü".normalize("NFC"),
      authorization: "Basic abc",
      connection: "close",
    },
    body: "héllo",
  });
  expect(response.status).toBe(418);
  expect(response.headers.getSetCookie()).toEqual(["a=1", "b=2"]);
  expect(response.headers.get("x-own")).toBe("yes");
  expect(response.headers.get("content-type")).toBe("text/x-own");
  expect(await response.json()).toMatchObject({
    method: "PATCH",
    url: "/a/b?c=%2f&d",
    body: "héllo",
    headers: {
      "content-type": "text/plain",
      "content-length": "6",
      authorization: "Basic abc",
      "mecha-caller": "shop",
      "mecha-hops": "1",
    },
  });
});

test.each([
  ["GET", 200, "body", "4"],
  ["HEAD", 200, "", "4"],
  ["DELETE", 204, "", null],
  ["GET", 304, "", null],
  ["OPTIONS", 200, "body", "4"],
])("%s answered with %i has the body that it should", async (method, status, body, length) => {
  const { url } = await startPair((_request, response) => {
    response.statusCode = status;
    if (status === 200) response.setHeader("content-length", 4);
    response.end(status === 200 && method !== "HEAD" ? "body" : undefined);
  });
  const response = await fetch(`${url}/x`, { method });
  expect(response.status).toBe(status);
  expect(response.headers.get("content-length")).toBe(length);
  expect(await response.text()).toBe(body);
});

test("without a path the app gets its root, with the query", async () => {
  const { url } = await startPair((request, response) => response.end(request.url));
  expect(await (await fetch(url)).text()).toBe("/");
  expect(await (await fetch(`${url}?a=b`)).text()).toBe("/?a=b");
});

test("the header mecha-app names the app of a call to any path, one of the runtime's own among them", async () => {
  const { shop } = await startPair((request, response) => response.end(`app: ${request.url}`));
  const call = (path: string) =>
    fetch(`${shop.endpoint}${path}`, { method: "POST", headers: { "mecha-app": "orders" } });
  expect(await (await call("/shop.v1.OrderService/Get")).text()).toBe("app: /shop.v1.OrderService/Get");
  expect(await (await call("/grpc.health.v1.Health/Check")).text()).toBe("app: /grpc.health.v1.Health/Check");
  expect(await (await call("/healthz")).text()).toBe("app: /healthz");
});

test("the app can tell its runtime's requests from others by its token, and a caller's authorization stays", async () => {
  const { url } = await startPair(
    (request, response) => response.end(`${request.headers["mecha-token"]}, ${request.headers.authorization}`),
    { orders: { appToken: "of-orders" } },
  );
  expect(await (await fetch(`${url}/x`, { headers: { "mecha-token": "forged" } })).text()).toBe(
    "of-orders, Bearer of-orders",
  );
  expect(await (await fetch(`${url}/x`, { headers: { authorization: "Basic x" } })).text()).toBe("of-orders, Basic x");
});

test("HTTP/2 calls are passed on, too", async () => {
  const { shop } = await startPair(async (request, response) => response.end(`${request.url} ${await text(request)}`));
  const session = http2.connect(shop.endpoint);
  onTestFinished(() => session.destroy());
  const stream = session.request({ ":method": "POST", ":path": "/invoke/orders/x", te: "trailers" });
  stream.end("hello");
  expect(await text(stream)).toBe("/x hello");
});

test("bodies stream both ways as they come: each piece is answered before the next is sent", async () => {
  const { shop } = await startPair((request, response) => {
    request.on("data", (chunk) => response.write(`<${chunk}>`));
    request.on("end", () => response.end("."));
  });
  const { hostname, port } = new URL(shop.endpoint);
  const request = http.request({ host: hostname, port, method: "POST", path: "/invoke/orders/echo" });
  request.flushHeaders();
  request.write("one");
  const [response] = await new Promise<[http.IncomingMessage]>((resolve) =>
    request.once("response", (r) => resolve([r])),
  );
  response.setEncoding("utf8");
  let received = "";
  response.on("data", (chunk) => {
    received += chunk;
  });
  await until(() => received === "<one>", "the first piece is answered");
  request.write("two");
  await until(() => received === "<one><two>", "the second piece is answered");
  request.end();
  await until(() => received === "<one><two>.", "the end is answered");
});

test("server-sent events arrive while the stream is open, and the app hears that the reader went", async () => {
  let gone = false;
  const { url } = await startPair((_request, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write("data: 1\n\n");
    response.once("close", () => {
      gone = true;
    });
  });
  const stop = new AbortController();
  const response = await fetch(`${url}/events`, { signal: stop.signal });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  expect((await reader?.read())?.value).toBe("data: 1\n\n");
  stop.abort();
  await until(() => gone, "the app hears of it");
});

test("trailers travel both ways", async () => {
  const { shop } = await startPair(async (request, response) => {
    response.writeHead(200, { trailer: "x-sum" });
    response.write(await text(request));
    response.addTrailers({ "x-sum": String(request.trailers["x-given"]) });
    response.end();
  });
  const { hostname, port } = new URL(shop.endpoint);
  const headers = { trailer: "x-given", "transfer-encoding": "chunked" };
  const request = http.request({ host: hostname, port, method: "POST", path: "/invoke/orders/x", headers });
  request.write("body");
  request.addTrailers({ "x-given": "42", authorization: "late" });
  request.end();
  const response = await new Promise<http.IncomingMessage>((resolve) => request.once("response", resolve));
  expect(await text(response)).toBe("body");
  expect(response.trailers).toEqual({ "x-sum": "42" });
});

test("who waits for 100 Continue gets it from the app, and sends nothing if the app says no", async () => {
  const { app, shop } = await startPair(async (request, response) => response.end(await text(request)));
  app.on("checkContinue", (request, response) => {
    if (request.url === "/no") response.writeHead(413).end("too large");
    else {
      response.writeContinue();
      app.emit("request", request, response);
    }
  });
  const { hostname, port } = new URL(shop.endpoint);
  const open = (path: string) => {
    const headers = { expect: "100-continue", "content-length": 5 };
    const request = http.request({ host: hostname, port, method: "PUT", path: `/invoke/orders${path}`, headers });
    request.flushHeaders();
    const told: string[] = [];
    request.on("continue", () => {
      told.push("continue");
      request.end("hello");
    });
    return { told, response: new Promise<http.IncomingMessage>((resolve) => request.once("response", resolve)) };
  };
  const yes = open("/yes");
  expect(await text(await yes.response)).toBe("hello");
  expect(yes.told).toEqual(["continue"]);
  const no = open("/no");
  const refused = await no.response;
  expect([refused.statusCode, await text(refused), no.told]).toEqual([413, "too large", []]);
});

test("early hints come before the answer", async () => {
  const { shop } = await startPair((_request, response) => {
    response.writeEarlyHints({ link: "</style.css>; rel=preload" }, () => response.end("late"));
  });
  const request = http.get(`${shop.endpoint}/invoke/orders/x`);
  const hints: http.InformationEvent[] = [];
  request.on("information", (information) => hints.push(information));
  const response = await new Promise<http.IncomingMessage>((resolve) => request.once("response", resolve));
  expect(await text(response)).toBe("late");
  expect(hints).toMatchObject([{ statusCode: 103, headers: { link: "</style.css>; rel=preload" } }]);
});

test("a large body passes whole, and a sender is not read faster than the app reads", async () => {
  let received = 0;
  let read = () => {};
  const { shop } = await startPair((request, response) => {
    read = () =>
      request.on("data", (chunk) => (received += chunk.length)).on("end", () => response.end(String(received)));
    if (request.url === "/at-once") read();
  });
  const { hostname, port } = new URL(shop.endpoint);
  const total = 64 * 1024 * 1024;
  const upload = (path: string) => {
    let sent = 0;
    const source = Readable.from(
      (function* () {
        for (const chunk = Buffer.alloc(64 * 1024, 1); sent < total; sent += chunk.length) yield chunk;
      })(),
    );
    const request = http.request({ host: hostname, port, method: "POST", path: `/invoke/orders${path}` });
    source.pipe(request);
    return {
      sent: () => sent,
      response: new Promise<http.IncomingMessage>((resolve) => request.once("response", resolve)),
    };
  };
  const waiting = upload("/later");
  let before = -1;
  await until(async () => {
    const now = waiting.sent();
    const still = now > 0 && now === before;
    before = now;
    await new Promise((resolve) => setTimeout(resolve, 100));
    return still;
  }, "the sender waits");
  // What fits into the windows and buffers on the way.
  expect(waiting.sent()).toBeLessThan(24 * 1024 * 1024);
  read();
  expect(await text(await waiting.response)).toBe(String(total));
});

test("an answer that the app breaks off is not taken for whole", async () => {
  const { url } = await startPair((_request, response) => {
    response.write("half of it");
    setImmediate(() => response.destroy());
  });
  const response = await fetch(`${url}/x`);
  await expect(response.text()).rejects.toThrow();
});

test("an app that answers before it has read the body is heard", async () => {
  const { shop } = await startPair((_request, response) => {
    response.writeHead(401, { connection: "close" }).end("no");
  });
  const raw = openRaw(shop);
  raw.socket.write("POST /invoke/orders/x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10000000\r\n\r\nfirst");
  await until(() => raw.text().includes("no"), "the answer comes");
  expect(raw.text()).toMatch(/^HTTP\/1\.1 401 /);
});

test("a WebSocket works through both runtimes, and a refusal of one is an answer", async () => {
  const { app, shop } = await startPair((_request, response) => response.writeHead(403).end("not here"));
  app.on("upgrade", (request, socket) => {
    if (request.url !== "/chat?x") {
      socket.end("HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno");
      return;
    }
    const key = String(request.headers["sec-websocket-key"]);
    const caller = String(request.headers["mecha-caller"]);
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${acceptOf(key)}\r\n\r\n`,
    );
    // A text frame "hello <caller>", then whatever comes is sent back with its mask taken off.
    socket.write(Buffer.concat([Buffer.from([0x81, caller.length]), Buffer.from(caller)]));
    socket.on("data", (frame: Buffer) => socket.write(echo(frame)));
  });
  const url = shop.endpoint.replace("http", "ws");
  const chat = new WebSocket(`${url}/invoke/orders/chat?x`);
  const messages: string[] = [];
  chat.addEventListener("message", ({ data }) => messages.push(String(data)));
  await until(() => messages.length === 1, "the app greets");
  chat.send("hello");
  await until(() => messages.length === 2, "the app echoes");
  expect(messages).toEqual(["shop", "hello"]);
  chat.close();
  const refused = openRaw(shop);
  refused.socket.write(
    "GET /invoke/orders/no HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n",
  );
  await refused.closed;
  expect(refused.text()).toMatch(/^HTTP\/1\.1 401 [\s\S]*\r\n\r\n.*no/);
});

/** RFC 6455, section 4.2.2. */
function acceptOf(key: string): string {
  return createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
}

/** A short masked text frame, sent back unmasked; a close frame is answered by one. */
function echo(frame: Buffer): Buffer {
  const length = (frame[1] ?? 0) & 0x7f;
  const mask = frame.subarray(2, 6);
  const payload = frame.subarray(6, 6 + length).map((byte, index) => byte ^ (mask[index % 4] ?? 0));
  return Buffer.concat([Buffer.from([frame[0] ?? 0, length]), payload]);
}
