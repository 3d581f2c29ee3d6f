import * as http from "node:http";
import * as http2 from "node:http2";
import { type AddressInfo, createServer, type Server } from "node:net";
import { text } from "node:stream/consumers";
import { expect, onTestFinished, test } from "vitest";
import { temporaryFolder, until } from "../../test/helpers.js";
import { findsApp, startMeshRuntime, startPair } from "../../test/mesh.js";
import { freePort } from "../../test/wire.js";
import { createAppSender } from "./app-sender.js";

// Apps, and callers, that do what is allowed and seldom done.

/** What a request gets that Node's own server hands over, with the hints before. */
async function callByNode(url: string, headers: http.OutgoingHttpHeaders = {}) {
  const hints: unknown[] = [];
  const answer = await new Promise<http.IncomingMessage>((resolve, reject) => {
    const request = http.request(url, { agent: false, headers: { connection: "close", ...headers } }, resolve);
    request.on("information", ({ headers: { link } }) => hints.push(link));
    request.once("error", reject);
    request.end();
  });
  return { status: answer.statusCode, body: await text(answer), hints };
}

test.each([
  [["</a.css>; rel=preload", "</b.js>; rel=preload"], ["</a.css>; rel=preload, </b.js>; rel=preload"]],
  // Node does not write it; it is a hint.
  [['</a.css>; rel="preload stylesheet"'], []],
])("early hints do no harm: %j", async (links, heard) => {
  const { url } = await startPair((_request, response) => {
    const lines = links.map((link) => `link: ${link}\r\n`).join("");
    response.socket?.write(`HTTP/1.1 103 Early Hints\r\n${lines}\r\n`);
    setImmediate(() => response.end("done"));
  });
  expect(await callByNode(`${url}/x`)).toEqual({ status: 200, body: "done", hints: heard });
});

test("an upgrade that nobody asked for is an error", async () => {
  const { url } = await startPair((request) => {
    request.socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: foo\r\n\r\n");
  });
  const body = new Blob(["x".repeat(100)]).stream();
  const answer = await fetch(`${url}/x`, { method: "POST", body, duplex: "half" } as RequestInit);
  expect(answer.status).toBe(503);
});

test("a call may have more headers than HTTP/2 takes from strangers", async () => {
  const { url } = await startPair((request, response) => response.end(String(Object.keys(request.headers).length)));
  const many = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`x-${index}`, "1"]));
  const { status, body } = await callByNode(`${url}/x`, many);
  expect(status).toBe(200);
  expect(Number(body)).toBeGreaterThanOrEqual(300);
});

test("an app that knows no 100-continue gets the body after a while", { timeout: 20_000 }, async () => {
  const server = createServer((socket) => {
    let said = "";
    socket.on("error", () => {});
    socket.setEncoding("latin1").on("data", (chunk) => {
      said += chunk;
      const headEnd = said.indexOf("\r\n\r\n");
      const length = Number(/content-length: (\d+)/i.exec(said)?.[1] ?? 0);
      if (headEnd !== -1 && said.length >= headEnd + 4 + length) {
        socket.end(`HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok`);
      }
    });
  });
  const appPort = await listening(server);
  const dataDir = temporaryFolder();
  await startMeshRuntime("orders", dataDir, { appPort });
  const shop = await startMeshRuntime("shop", dataDir);
  await findsApp(shop, "orders");
  const request = http.request(`${shop.endpoint}/invoke/orders/x`, {
    method: "POST",
    agent: false,
    headers: { expect: "100-continue", "content-length": "2000" },
  });
  request.once("continue", () => request.end("x".repeat(2000)));
  const answer = await new Promise<http.IncomingMessage>((resolve, reject) => {
    request.once("response", resolve).once("error", reject);
    request.flushHeaders();
  });
  expect([answer.statusCode, await text(answer)]).toEqual([200, "ok"]);
});

test("a gRPC answer that tells its length keeps its trailers", async () => {
  const app = http2.createServer();
  app.on("stream", (stream, headers) => {
    stream.on("error", () => {});
    if (headers[":method"] === "HEAD") return stream.respond({}, { endStream: true });
    const head = { ":status": 200, "content-type": "application/grpc", "content-length": "5" };
    stream.respond(head, { waitForTrailers: true });
    stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(Buffer.alloc(5));
  });
  const appPort = await listening(app);
  const dataDir = temporaryFolder();
  await startMeshRuntime("orders", dataDir, { appPort });
  const shop = await startMeshRuntime("shop", dataDir);
  const session = http2.connect(shop.endpoint);
  onTestFinished(() => session.destroy());
  const call = async () => {
    const head = { ":method": "POST", ":path": "/x", "mecha-app": "orders", te: "trailers" };
    const stream = session.request({ ...head, "content-type": "application/grpc" });
    stream.end(Buffer.alloc(5));
    let trailers: http2.IncomingHttpHeaders = {};
    stream.once("trailers", (found) => {
      trailers = found;
    });
    const body = await text(stream);
    return { size: body.length, status: trailers["grpc-status"] };
  };
  let answer = await call();
  await until(async () => {
    answer = await call();
    return answer.size === 5;
  }, "the app is found");
  expect(answer).toEqual({ size: 5, status: "0" });
});

test("an app that was not there when it was first asked whether it speaks HTTP/2 is asked again", async () => {
  const port = await freePort();
  const app = createAppSender(port);
  onTestFinished(() => app.close());
  const ask = async () => {
    const send = await app.sender("application/connect+proto");
    return await new Promise<number | string>((resolve) => {
      const headers = { "content-type": "application/connect+proto" };
      const request = { method: "POST", target: "/x", headers, hasBody: true, awaitsContinue: false };
      const sent = send(request, {
        continued() {},
        information() {},
        responded: ({ status }) => resolve(status),
        failed: () => resolve("failed"),
      });
      sent.body?.write("x");
      sent.finish({});
    });
  };
  expect(await ask()).toBe("failed");
  const server = http2.createServer();
  server.on("stream", (stream) => {
    stream.respond({ ":status": 200 });
    stream.end("ok");
  });
  await listening(server, port, "localhost");
  expect(await ask()).toBe(200);
});

test("callers who hang up do not end the calls of others", { timeout: 60_000 }, async () => {
  const { url } = await startPair((request, response) => {
    if (request.url === "/stream") response.write("begun");
  });
  const stream = await new Promise<http.IncomingMessage>((resolve) =>
    http.get(`${url}/stream`, { agent: false, headers: { connection: "close" } }, resolve),
  );
  let isBroken = false;
  stream.on("error", () => {}).once("close", () => (isBroken = true));
  stream.resume();
  const hangUp = () =>
    new Promise<void>((resolve) => {
      const request = http.request(`${url}/slow`, { method: "POST", agent: false });
      request.on("error", () => {}).once("close", () => resolve());
      request.write("x");
      request.once("socket", (socket) => socket.once("connect", () => setImmediate(() => request.destroy())));
    });
  // More than a connection may reset in one go by Node's default.
  for (let made = 0; made < 2_000 && !isBroken; made += 20) await Promise.all(Array.from({ length: 20 }, hangUp));
  expect(isBroken).toBe(false);
});

async function listening(server: Server | http2.Http2Server, port = 0, host = "127.0.0.1"): Promise<number> {
  await new Promise<void>((resolve) => server.listen(port, host, resolve));
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}
