import * as http2 from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { type RpcServer, serve } from "../src/index.js";
import { type EchoLog, echoRoutes } from "./echo-service.js";
import { eventually } from "./eventually.js";
import { EchoRequestSchema } from "./gen/echo_pb.js";
import { expectServing, json, path, start } from "./protected-server.js";
import { RawConnection } from "./raw-http1.js";

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
