import * as http2 from "node:http2";
import { gzipSync } from "node:zlib";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { createTransport } from "../src/index.js";
import type { EchoLog } from "./echo-service.js";
import { eventually } from "./eventually.js";
import { EchoService } from "./gen/echo_pb.js";
import { expectServing, json, path, start } from "./protected-server.js";
import { RawConnection } from "./raw-http1.js";

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
