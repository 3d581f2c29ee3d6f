import * as http2 from "node:http2";
import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { createTransport, type RpcServer, type ServerLimits, serve } from "../src/index.js";
import { type EchoLog, echoRoutes } from "./echo-service.js";
import { eventually } from "./eventually.js";
import { EchoRequestSchema, EchoService } from "./gen/echo_pb.js";
import { RawConnection } from "./raw-http1.js";

const path = "/mecha.rpc.test.v1.EchoService/Echo";
const json = `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n`;

function start(limits: ServerLimits, log?: EchoLog): Promise<RpcServer> {
  return serve({ routes: echoRoutes(log), limits });
}

/** The server must go on serving, whatever one client did. */
async function expectServing(server: RpcServer): Promise<void> {
  await using transport = createTransport({ endpoint: server.endpoint });
  expect(await createClient(EchoService, transport).echo({ text: "still here" })).toMatchObject({ text: "still here" });
}

/** Asks for a path and reads nothing of the answer. */
function startPaused(server: RpcServer, version: number, target: string): Disposable {
  if (version === 1) {
    const connection = new RawConnection(server.endpoint).send(`GET ${target} HTTP/1.1\r\nhost: x\r\n\r\n`);
    connection.socket.pause();
    return connection;
  }
  const session = http2.connect(server.endpoint, { settings: { initialWindowSize: 1000 } });
  session.request({ ":path": target }).on("error", () => {});
  return { [Symbol.dispose]: () => session.destroy() };
}

describe("a client that takes its time", () => {
  test("a connection that says nothing is closed", async () => {
    await using server = await start({ headersTimeoutMs: 100 });
    using connection = new RawConnection(server.endpoint);
    await eventually(() => connection.closed, "the end of the silent connection");
  });

  test("headers that drip in are cut off", async () => {
    await using server = await start({ headersTimeoutMs: 200 });
    using connection = new RawConnection(server.endpoint).send(`POST ${path} HTTP/1.1\r\nhost: x\r\n`);
    const drip = setInterval(() => connection.send("x-drip: 1\r\n"), 20);
    await eventually(() => connection.closed, "the end of the slow connection");
    clearInterval(drip);
    expect(connection.text).toMatch(/^HTTP\/1.1 408/);
    await expectServing(server);
  });

  test("a body that does not arrive is DEADLINE_EXCEEDED over HTTP/1.1", async () => {
    await using server = await start({ bodyTimeoutMs: 100 });
    using connection = new RawConnection(server.endpoint).send(`${json}content-length: 100\r\n\r\n{`);
    await eventually(() => connection.text.includes("deadline_exceeded"), "the refusal");
    expect(connection.text).toMatch(/^HTTP\/1.1 504/);
    await eventually(() => connection.closed, "the end of the connection");
  });

  test.each(["application/json", "application/grpc"])("so it is over HTTP/2 (%s)", async (contentType) => {
    await using server = await start({ bodyTimeoutMs: 100 });
    const session = http2.connect(server.endpoint);
    const stream = session.request({ ":method": "POST", ":path": path, "content-type": contentType });
    let status: unknown;
    stream.on("response", (headers) => {
      status = headers[":status"];
    });
    stream.on("trailers", (trailers) => {
      status = trailers["grpc-status"];
    });
    stream.on("error", () => {});
    stream.resume().write("{");
    await eventually(() => status === 504 || status === String(Code.DeadlineExceeded), "the refusal");
    session.destroy();
  });

  test.each([
    ["plain HTTP", "PUT /door HTTP/1.1\r\nhost: x\r\n"],
    ["gRPC-Web", `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc-web+proto\r\n`],
  ])("a body that does not arrive is ended for %s too", async (_what, head) => {
    await using server = await serve({
      routes: echoRoutes(),
      limits: { bodyTimeoutMs: 100 },
      fallback: (request, response) => void request.resume().once("end", () => response.end()),
    });
    using connection = new RawConnection(server.endpoint).send(`${head}content-length: 100\r\n\r\n{`);
    await eventually(() => connection.closed, "the end of the connection");
    await expectServing(server);
  });

  test("a plain HTTP body that does not arrive is ended over HTTP/2", async () => {
    await using server = await serve({
      routes: echoRoutes(),
      limits: { bodyTimeoutMs: 100 },
      fallback: (request, response) => void request.resume().once("end", () => response.end()),
    });
    const session = http2.connect(server.endpoint);
    const stream = session.request({ ":method": "PUT", ":path": "/door" });
    let closed = false;
    stream.on("close", () => {
      closed = true;
    });
    stream.on("error", () => {});
    stream.write("{");
    await eventually(() => closed, "the end of the stream");
    session.destroy();
  });

  test("a reader that does not read loses its HTTP/1.1 connection", async () => {
    await using server = await start({ writeTimeoutMs: 100, readMaxBytes: 32 * 1024 * 1024 });
    using connection = new RawConnection(server.endpoint);
    connection.socket.pause();
    const body = JSON.stringify({ text: "x".repeat(16 * 1024 * 1024) });
    connection.send(`${json}content-length: ${body.length}\r\n\r\n${body}`);
    connection.socket.on("close", () => {});
    await eventually(async () => {
      // A destroyed peer shows when the paused socket is written to.
      connection.socket.write("x");
      return connection.closed;
    }, "the end of the connection");
    await expectServing(server);
  });

  test.each([1, 2])(
    "a reader of plain HTTP/%s that does not read is cut off; one that has nothing to read is not",
    async (version) => {
      const ends = new Map<string, boolean>();
      await using server = await serve({
        routes: echoRoutes(),
        limits: { writeTimeoutMs: 100 },
        fallback(request, response) {
          const what = request.url ?? "";
          response.once("close", () => ends.set(what, true));
          response.write(what === "/much" ? "x".repeat(16 * 1024 * 1024) : "x");
          if (what === "/ended") response.end("x".repeat(16 * 1024 * 1024));
        },
      });
      using idle = startPaused(server, version, "/idle");
      using much = startPaused(server, version, "/much");
      using ended = startPaused(server, version, "/ended");
      await eventually(() => ends.has("/much") && ends.has("/ended"), "the end of what is not read");
      expect(ends.has("/idle")).toBe(false);
      expect([idle, much, ended]).toHaveLength(3);
      await expectServing(server);
    },
  );

  test("a reader of gRPC-Web that does not read is cut off", async () => {
    const log: EchoLog = { waiting: [] };
    await using server = await start({ writeTimeoutMs: 100, readMaxBytes: 32 * 1024 * 1024 }, log);
    using connection = new RawConnection(server.endpoint);
    connection.socket.pause();
    const message = toBinary(EchoRequestSchema, create(EchoRequestSchema, { text: "x".repeat(16 * 1024 * 1024) }));
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.length, 1);
    const lines = [`POST ${path} HTTP/1.1`, "host: x", "content-type: application/grpc-web+proto"];
    connection.send(`${lines.join("\r\n")}\r\ncontent-length: ${head.length + message.length}\r\n\r\n`);
    connection.socket.write(head);
    connection.socket.write(message);
    await eventually(() => {
      connection.socket.write("x");
      return connection.closed;
    }, "the end of the connection");
    await expectServing(server);
  });

  test("a reader that opens no window loses its HTTP/2 stream", async () => {
    const log: EchoLog = { waiting: [] };
    await using server = await start({ writeTimeoutMs: 100 }, log);
    const session = http2.connect(server.endpoint, { settings: { initialWindowSize: 1000 } });
    const stream = session.request({ ":method": "POST", ":path": path, "content-type": "application/json" });
    let reset: number | undefined;
    stream.on("error", () => {});
    stream.on("close", () => {
      reset = stream.rstCode;
    });
    stream.end(JSON.stringify({ text: "x".repeat(100_000) }));
    // Nobody reads: the window of 1000 bytes is never opened again.
    await eventually(() => reset === http2.constants.NGHTTP2_CANCEL, "the reset");
    session.destroy();
    await expectServing(server);
  });
});

describe("a client that wants too much", () => {
  test("headers above the limit are refused in both HTTP versions", async () => {
    await using server = await start({ maxHeaderBytes: 4096 });
    using connection = new RawConnection(server.endpoint).send(`${json}x-large: ${"x".repeat(5000)}\r\n\r\n`);
    await eventually(() => connection.text.startsWith("HTTP/1.1 431"), "the refusal");
    const session = http2.connect(server.endpoint);
    session.on("error", () => {});
    await new Promise((resolve) => session.once("remoteSettings", resolve));
    const stream = session.request({ ":method": "POST", ":path": path, "x-large": "x".repeat(5000) });
    let reset = 0;
    stream.on("error", () => {});
    stream.on("close", () => {
      reset = stream.rstCode ?? 0;
    });
    await eventually(() => reset === http2.constants.NGHTTP2_ENHANCE_YOUR_CALM, "the reset");
    session.destroy();
    await expectServing(server);
  });

  test("connections above the limit are closed at once", async () => {
    await using server = await start({ maxConnections: 2 });
    using first = new RawConnection(server.endpoint);
    using second = new RawConnection(server.endpoint);
    await eventually(() => !first.socket.connecting && !second.socket.connecting, "the connections");
    using third = new RawConnection(server.endpoint);
    await eventually(() => third.closed, "the end of the third");
    expect([first.closed, second.closed]).toEqual([false, false]);
  });

  test("streams above the limit are refused, those below it served", async () => {
    const log: EchoLog = { waiting: [] };
    await using server = await start({ maxStreamsPerConnection: 2 }, log);
    const session = http2.connect(server.endpoint);
    // Before the server's settings have arrived, this client opens as many as it likes.
    const refused: number[] = [];
    let answered = 0;
    for (let index = 0; index < 5; index++) {
      const stream = session.request({ ":method": "POST", ":path": path, "content-type": "application/json" });
      stream.on("error", () => {});
      stream.on("response", () => answered++);
      stream.on("close", () => stream.rstCode !== 0 && refused.push(stream.rstCode ?? -1));
      stream.resume();
      stream.write("{");
      setImmediate(() => stream.end("}"));
    }
    await eventually(() => refused.length === 3 && answered === 2, "three refusals and two answers");
    expect(refused).toEqual([1, 2, 3].map(() => http2.constants.NGHTTP2_REFUSED_STREAM));
    expect(session.remoteSettings.maxConcurrentStreams).toBe(2);
    session.destroy();
    await expectServing(server);
  });

  test("a message above the limit is RESOURCE_EXHAUSTED, declared or not", async () => {
    await using server = await start({ readMaxBytes: 1000 });
    for (const protocol of ["connect", "grpc", "grpc-web"] as const) {
      await using transport = createTransport({ endpoint: server.endpoint, protocol });
      const client = createClient(EchoService, transport);
      const error = await client.echo({ text: "x".repeat(2000) }).catch((reason: unknown) => ConnectError.from(reason));
      expect(error).toMatchObject({ code: Code.ResourceExhausted });
    }
    using connection = new RawConnection(server.endpoint).send(`${json}transfer-encoding: chunked\r\n\r\n`);
    connection.send(`7d0\r\n${"x".repeat(2000)}\r\n0\r\n\r\n`);
    await eventually(() => connection.text.includes("resource_exhausted"), "the refusal");
  });

  test("a decompression bomb is RESOURCE_EXHAUSTED and never unpacked", async () => {
    await using server = await start({ readMaxBytes: 100_000 });
    const bomb = gzipSync(Buffer.from(JSON.stringify({ text: "x".repeat(20_000_000) })));
    expect(bomb.length).toBeLessThan(100_000);
    const before = process.memoryUsage().rss;
    const response = await fetch(server.endpoint + path, {
      method: "POST",
      headers: { "content-type": "application/json", "content-encoding": "gzip" },
      body: bomb,
    });
    expect(response.status).toBe(429);
    expect(await response.json()).toMatchObject({ code: "resource_exhausted" });
    expect(process.memoryUsage().rss - before).toBeLessThan(15_000_000);
  });
});

test("streams that are opened and reset in a flood end their connection, and only that (CVE-2023-44487)", async () => {
  await using server = await start({ maxResetsPerSecond: 10 });
  const session = http2.connect(server.endpoint);
  let ended = false;
  session.on("error", () => {});
  session.on("close", () => {
    ended = true;
  });
  const flood = setInterval(() => {
    for (let count = 0; count < 50 && !session.destroyed; count++) {
      const stream = session.request({ ":method": "POST", ":path": path, "content-type": "application/grpc" });
      stream.on("error", () => {});
      stream.close(http2.constants.NGHTTP2_CANCEL);
    }
  }, 5);
  await eventually(() => ended, "the end of the flooding connection");
  clearInterval(flood);
  await expectServing(server);
});

test("a Host that makes no URL does not end the server, whichever way the request is served", async () => {
  await using server = await start({});
  for (const type of ["application/grpc-web+proto", "application/json"]) {
    for (let again = 0; again < 2; again++) {
      using connection = new RawConnection(server.endpoint);
      connection.send(`POST ${path} HTTP/1.1\r\nhost: ^ "\r\ncontent-type: ${type}\r\ncontent-length: 2\r\n\r\n{}`);
      await eventually(() => connection.text !== "", "an answer");
      expect(connection.text).toMatch(type === "application/json" ? /^HTTP\/1.1 200/ : /^HTTP\/1.1 400/);
    }
  }
  await expectServing(server);
});

test("a request with several Hosts is refused, whichever way it would be served", async () => {
  await using server = await serve({
    routes: echoRoutes(),
    fallback: (_request, response) => void response.end("served"),
  });
  const posted = `${json.replace("host: x", "host: x\r\nHost: y")}content-length: 2\r\n\r\n{}`;
  const upgrade = "GET /ws HTTP/1.1\r\nhost: x\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
  for (const request of ["GET /page HTTP/1.1\r\nhost: x\r\nHOST: y\r\n\r\n", posted, upgrade]) {
    using connection = new RawConnection(server.endpoint).send(request);
    await eventually(() => connection.text.includes("several Host headers"), "the refusal");
    expect(connection.text).toMatch(/^HTTP\/1.1 400/);
  }
  using single = new RawConnection(server.endpoint).send("GET /page HTTP/1.1\r\nhost: x\r\n\r\n");
  await eventually(() => single.text.includes("served"), "what one Host is answered");
});

test("JSON keys that reach for prototypes change nothing", async () => {
  await using server = await start({});
  const body = `{"text":"a","__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},"labels":{"__proto__":"x","constructor":"y"}}`;
  const response = await fetch(server.endpoint + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
  });
  expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  expect(Object.getPrototypeOf({})).toBe(Object.prototype);
  expect([200, 400]).toContain(response.status);
  await expectServing(server);
});
