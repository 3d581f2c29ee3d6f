import * as http2 from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { type ServeOptions, serve } from "../src/index.js";
import { encodeEnvelope } from "../src/wire/envelope.js";
import { encodeFrame, encodeNumberFrame, FrameType } from "../src/wire/http2-frames.js";
import { echoRoutes } from "./echo-service.js";
import { eventually } from "./eventually.js";
import { EchoRequestSchema, EchoService } from "./gen/echo_pb.js";
import { lastData, RawHttp2, requestHeaders } from "./raw-http2.js";

// Unary calls and gRPC streams over HTTP/2 are served without node:http2, unless the connection's first request is something else: then all of it is node:http2's.
const service = "/mecha.rpc.test.v1.EchoService";
const path = `${service}/Echo`;
const { constants } = http2;
const start = (options: Partial<ServeOptions> = {}) => serve({ routes: echoRoutes(), ...options });
const message = (init: object) => encodeEnvelope(0, toBinary(EchoRequestSchema, create(EchoRequestSchema, init)));
const grpcCall = (stream: number, init: object) =>
  Buffer.concat([requestHeaders(stream, path, "application/grpc"), lastData(stream, message(init))]);
const jsonCall = (stream: number, body: string) =>
  Buffer.concat([requestHeaders(stream, path, "application/json"), lastData(stream, body)]);
const windowUpdate = (stream: number, by: number) => encodeNumberFrame(FrameType.windowUpdate, stream, by);

describe("one connection carries everything", () => {
  test("unary calls, streams, gRPC-Web and plain HTTP, in any order", async () => {
    await using server = await start({
      fallback: (request, response) => void response.end(`plain from ${request.socket === undefined}`),
    });
    using connection = new RawHttp2(server.endpoint);
    connection.send(grpcCall(1, { text: "one" }));
    connection.send(
      requestHeaders(3, `${service}/Count`, "application/grpc"),
      lastData(3, message({ count: 3, text: "s" })),
    );
    connection.send(jsonCall(5, `{"text":"five"}`));
    connection.send(requestHeaders(7, "/door", "text/plain", [], true));
    connection.send(requestHeaders(9, path, "application/grpc-web+proto"), lastData(9, message({ text: "nine" })));
    connection.send(requestHeaders(11, `${service}/Chat`, "application/grpc"));
    connection.send(encodeFrame(FrameType.data, 0, 11, message({ text: "a" })), lastData(11, message({ text: "b" })));
    connection.send(grpcCall(13, { text: "thirteen" }));
    connection.send(
      requestHeaders(15, `${service}/Count`, "application/connect+proto"),
      lastData(15, message({ count: 3, text: "fifteen" })),
    );
    const all = [1, 3, 5, 7, 9, 11, 13, 15].map((id) => connection.stream(id));
    await eventually(() => all.every(({ ended }) => ended), "all answers");
    expect(all.map(({ headers }) => headers[":status"])).toEqual(all.map(() => "200"));
    expect(all.map(({ headers }) => headers["grpc-status"])).toEqual([
      "0",
      "0",
      undefined,
      undefined,
      undefined,
      "0",
      "0",
      undefined,
    ]);
    for (const [index, part] of ["one", "s", "five", "plain", "nine", "b", "thirteen", "fifteen"].entries()) {
      expect(all[index]?.body).toContain(part);
    }
  });

  test("the guard sees where a request that is passed on comes from", async () => {
    const seen: (string | undefined)[] = [];
    await using server = await start({
      guard(head) {
        seen.push(head.remoteAddress);
        return new ConnectError("no", Code.PermissionDenied);
      },
    });
    using connection = new RawHttp2(server.endpoint).send(grpcCall(1, {}));
    connection.send(requestHeaders(3, "/door", "text/plain", [], true));
    await eventually(() => connection.stream(1).ended && connection.stream(3).ended, "both refusals");
    expect(connection.stream(1).headers["grpc-status"]).toBe(String(Code.PermissionDenied));
    expect(connection.stream(3).headers[":status"]).toBe("403");
    expect(seen).toEqual(["127.0.0.1", "127.0.0.1"]);
  });

  test("large bodies both ways, whoever serves them, through small windows", async () => {
    await using server = await start({ limits: { readMaxBytes: 10_000_000 } });
    const session = http2.connect(server.endpoint, { settings: { initialWindowSize: 20_000 } });
    const text = "x".repeat(3_000_000);
    const ask = (type: string, body: string | Uint8Array) =>
      new Promise<number>((resolve, reject) => {
        const stream = session.request({ ":method": "POST", ":path": path, "content-type": type });
        let size = 0;
        stream.on("data", (chunk: Buffer) => {
          size += chunk.length;
        });
        stream.on("end", () => resolve(size)).on("error", reject);
        stream.end(body);
      });
    await ask("application/grpc", message({ text: "first" }));
    const sizes = await Promise.all([
      ask("application/grpc", message({ text })),
      ask("application/grpc-web+proto", message({ text })),
      ask("application/json", JSON.stringify({ text })),
      ask("application/grpc", message({ text })),
    ]);
    for (const size of sizes) expect(size).toBeGreaterThan(text.length);
    session.close();
  });

  test("a stream is cancelled with its client, whoever serves it", async () => {
    const signals: AbortSignal[] = [];
    const wait = (signal: AbortSignal) =>
      new Promise<never>((_, reject) => {
        signals.push(signal);
        signal.addEventListener("abort", () => reject(signal.reason));
      });
    await using server = await start({
      routes: (router) =>
        router.service(EchoService, {
          echo: (request, { signal }) => (request.text === "wait" ? wait(signal) : { text: request.text }),
          async *count(_request, { signal }) {
            yield await wait(signal);
          },
        }),
    });
    for (const [end, type] of ["reset", "close"].flatMap((end) =>
      ["application/grpc", "application/connect+proto"].map((type) => [end, type] as const),
    )) {
      using connection = new RawHttp2(server.endpoint).send(grpcCall(1, {}));
      connection.send(requestHeaders(3, `${service}/Count`, type), lastData(3, message({})));
      connection.send(grpcCall(5, { text: "wait" }));
      await eventually(() => signals.length === 2, "both handlers");
      if (end === "close") connection.socket.destroy();
      else
        for (const id of [3, 5]) connection.send(encodeNumberFrame(FrameType.rstStream, id, constants.NGHTTP2_CANCEL));
      await eventually(() => signals.every(({ aborted }) => aborted), "both signals");
      for (const { reason } of signals) expect(ConnectError.from(reason).code).toBe(Code.Canceled);
      signals.length = 0;
    }
  });
});

describe("windows", () => {
  test("an answer waits for its stream's, and for its connection's", async () => {
    await using server = await start();
    using connection = new RawHttp2(server.endpoint, [constants.NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 100]);
    connection.send(jsonCall(1, JSON.stringify({ text: "x".repeat(1000) })));
    await eventually(() => connection.stream(1).body.length === 100, "what the window lets through");
    connection.send(encodeFrame(FrameType.settings, 0, 0, Buffer.from([0, 4, 0, 0, 0, 150])));
    await eventually(() => connection.stream(1).body.length === 150, "what the new setting adds");
    connection.send(windowUpdate(1, 100_000));
    await eventually(() => connection.stream(1).ended, "the rest");
    connection.send(jsonCall(3, JSON.stringify({ text: "y".repeat(80_000) })), windowUpdate(3, 100_000));
    await eventually(
      () => connection.stream(1).body.length + connection.stream(3).body.length === 65_535,
      "the whole window",
    );
    connection.send(windowUpdate(0, 100_000));
    await eventually(() => connection.stream(3).ended, "the rest");
  });

  test("an answer whose window is never opened is given up", async () => {
    await using server = await start({ limits: { writeTimeoutMs: 100 } });
    using connection = new RawHttp2(server.endpoint, [constants.NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 10]);
    connection.send(grpcCall(1, { text: "x".repeat(100) }));
    await eventually(() => connection.stream(1).reset === constants.NGHTTP2_CANCEL, "the reset");
  });
});

describe("what breaks the protocol ends the connection with its code", () => {
  const headers = requestHeaders(3, path, "application/json");
  const cases: [string, Buffer, number][] = [
    ["an even stream", requestHeaders(2, path, "application/json"), constants.NGHTTP2_PROTOCOL_ERROR],
    ["DATA before HEADERS", lastData(3, "{}"), constants.NGHTTP2_PROTOCOL_ERROR],
    ["DATA on the connection", lastData(0, "{}"), constants.NGHTTP2_PROTOCOL_ERROR],
    ["HEADERS on the connection", requestHeaders(0, path, "x"), constants.NGHTTP2_PROTOCOL_ERROR],
    ["PUSH_PROMISE", encodeFrame(FrameType.pushPromise, 4, 1, Buffer.alloc(4)), constants.NGHTTP2_PROTOCOL_ERROR],
    ["CONTINUATION alone", encodeFrame(FrameType.continuation, 4, 3, Buffer.of()), constants.NGHTTP2_PROTOCOL_ERROR],
    [
      "an interrupted block",
      Buffer.concat([encodeFrame(FrameType.headers, 0, 3, Buffer.of()), headers]),
      constants.NGHTTP2_PROTOCOL_ERROR,
    ],
    [
      "padding beyond its frame",
      encodeFrame(FrameType.data, 8, 1, Buffer.of(200, 0)),
      constants.NGHTTP2_PROTOCOL_ERROR,
    ],
    ["a PING of another size", encodeFrame(FrameType.ping, 0, 0, Buffer.alloc(7)), constants.NGHTTP2_FRAME_SIZE_ERROR],
    [
      "SETTINGS of another size",
      encodeFrame(FrameType.settings, 0, 0, Buffer.alloc(5)),
      constants.NGHTTP2_FRAME_SIZE_ERROR,
    ],
    [
      "a frame larger than allowed",
      encodeFrame(FrameType.data, 0, 1, Buffer.alloc(16_385)),
      constants.NGHTTP2_FRAME_SIZE_ERROR,
    ],
    ["a window opened by nothing", windowUpdate(0, 0), constants.NGHTTP2_PROTOCOL_ERROR],
    ["a window beyond all", windowUpdate(0, 2 ** 31 - 1), constants.NGHTTP2_FLOW_CONTROL_ERROR],
    [
      "a block that cannot be read",
      encodeFrame(FrameType.headers, 4, 3, Buffer.of(0x80)),
      constants.NGHTTP2_COMPRESSION_ERROR,
    ],
    ["a reset of what never was", encodeNumberFrame(FrameType.rstStream, 99, 0), constants.NGHTTP2_PROTOCOL_ERROR],
  ];
  test.each(cases)("%s", async (_what, bytes, code) => {
    await using server = await start();
    using connection = new RawHttp2(server.endpoint).send(grpcCall(1, { text: "first" }));
    await eventually(() => connection.stream(1).ended, "the first answer");
    connection.send(bytes);
    await eventually(() => connection.closed, "the end of the connection");
    expect(connection.goaway).toBe(code);
  });

  test("a body of another length than its head says resets its stream", async () => {
    await using server = await start();
    using connection = new RawHttp2(server.endpoint).send(grpcCall(1, {}));
    connection.send(requestHeaders(3, path, "application/json", ["content-length", "3"]), lastData(3, "{}"));
    await eventually(() => connection.stream(3).reset === constants.NGHTTP2_PROTOCOL_ERROR, "the reset");
  });

  // As connect-go does, which lets go of its message once it sees the answer's head.
  test.each([
    ["served here", "application/grpc", true],
    ["passed on", "application/grpc-web+proto", true],
    ["all node:http2's", "application/grpc-web+proto", false],
  ])("but a client that stops once it is refused gets all of its answer: %s", async (_, type, mixed) => {
    await using server = await start({ limits: { readMaxBytes: 100 } });
    using connection = new RawHttp2(server.endpoint);
    if (mixed) connection.send(grpcCall(1, {}));
    const body = message({ text: "x".repeat(200) });
    connection.send(requestHeaders(3, path, type, ["content-length", "200000"]), encodeFrame(0, 0, 3, body));
    const refused = connection.stream(3);
    let wholeAtOnce: boolean | undefined;
    connection.onHeaders = (id) => {
      if (id !== 3) return;
      connection.send(lastData(3, ""));
      setImmediate(() => {
        wholeAtOnce = refused.ended;
      });
    };
    await eventually(() => wholeAtOnce !== undefined, "the refusal");
    expect(wholeAtOnce).toBe(true);
    const status = refused.headers["grpc-status"] ?? /grpc-status: (\d+)/.exec(refused.body)?.[1];
    expect(status).toBe(String(Code.ResourceExhausted));
  });

  test("what HTTP/2 forbids in a request is node:http2's to refuse", async () => {
    await using server = await start();
    using connection = new RawHttp2(server.endpoint).send(grpcCall(1, {}));
    for (const [index, extra] of [
      ["Upper", "x"],
      ["connection", "close"],
      ["transfer-encoding", "chunked"],
    ].entries()) {
      const id = 3 + 2 * index;
      connection.send(requestHeaders(id, path, "application/json", extra), lastData(id, "{}"));
      await eventually(() => connection.stream(id).reset === constants.NGHTTP2_PROTOCOL_ERROR, `the reset of ${extra}`);
    }
  });
});

describe("what costs this side more than the client ends the connection", () => {
  const floods: [string, (round: number) => Buffer][] = [
    [
      "resets",
      (round) =>
        Buffer.concat([
          requestHeaders(3 + 2 * round, path, "application/grpc"),
          encodeNumberFrame(FrameType.rstStream, 3 + 2 * round, 8),
        ]),
    ],
    [
      "resets that it provokes",
      (round) =>
        Buffer.concat([requestHeaders(3 + 2 * round, path, "application/grpc"), windowUpdate(3 + 2 * round, 0)]),
    ],
    ["empty DATA", () => encodeFrame(FrameType.data, 0, 1, Buffer.of())],
  ];
  test.each(floods)("%s", async (_what, make) => {
    await using server = await start({ limits: { maxResetsPerSecond: 10 } });
    using connection = new RawHttp2(server.endpoint).send(requestHeaders(1, path, "application/grpc"));
    for (let round = 0; round < 300; round++) connection.send(make(round));
    await eventually(() => connection.closed, "the end of the connection");
    expect(connection.goaway).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  });

  test("a header block in ever more parts", async () => {
    await using server = await start();
    using connection = new RawHttp2(server.endpoint).send(grpcCall(1, {}));
    await eventually(() => connection.stream(1).ended, "the first answer");
    connection.send(encodeFrame(FrameType.headers, 0, 3, Buffer.of()));
    for (let count = 0; count < 20; count++) connection.send(encodeFrame(FrameType.continuation, 0, 3, Buffer.of()));
    await eventually(() => connection.closed, "the end of the connection");
    expect(connection.goaway).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  });

  test("a header block that is not gone on with", async () => {
    await using server = await start({ limits: { headersTimeoutMs: 100, bodyTimeoutMs: 200 } });
    using connection = new RawHttp2(server.endpoint).send(grpcCall(1, {}));
    await eventually(() => connection.stream(1).ended, "the first answer");
    connection.send(encodeFrame(FrameType.headers, 0, 3, Buffer.of()));
    await eventually(() => connection.closed, "the end of the connection");
  });

  test("pings whose answers it does not read are not kept without end", async () => {
    await using server = await start({ limits: { writeTimeoutMs: 200 } });
    using connection = new RawHttp2(server.endpoint).send(grpcCall(1, {}));
    await eventually(() => connection.stream(1).ended, "the first answer");
    connection.socket.pause();
    const pings = Buffer.concat(
      Array.from({ length: 10_000 }, () => encodeFrame(FrameType.ping, 0, 0, Buffer.alloc(8))),
    );
    await eventually(async () => {
      if (connection.socket.writableLength < 10_000_000) connection.send(pings);
      return connection.closed || connection.socket.destroyed || connection.socket.writableLength > 5_000_000;
    }, "that the server reads no more");
  });
});
