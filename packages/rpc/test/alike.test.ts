import * as http from "node:http";
import * as http2 from "node:http2";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RpcServer, serve } from "../src/index.js";
import { echoRoutes } from "./echo-service.js";
import { EchoRequestSchema } from "./gen/echo_pb.js";

// The same requests to connect-node and to the direct path must be answered byte for byte alike.
const service = "/mecha.rpc.test.v1.EchoService";
const limits = { readMaxBytes: 10_000, writeMaxBytes: 20_000, maxTimeoutMs: 100_000 };
let ours: RpcServer;
let theirs1: http.Server;
let theirs2: http2.Http2Server;

beforeAll(async () => {
  ours = await serve({ routes: echoRoutes(), limits });
  theirs1 = http.createServer(connectNodeAdapter({ routes: echoRoutes(), ...limits }));
  theirs2 = http2.createServer(connectNodeAdapter({ routes: echoRoutes(), ...limits }));
  for (const server of [theirs1, theirs2]) await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterAll(async () => {
  theirs1.close();
  theirs2.close();
  await ours.close({ deadlineMs: 1000 });
});

interface Request {
  method?: string;
  path?: string;
  headers?: Record<string, string>;
  body?: string | Uint8Array;
}

const proto = { "content-type": "application/proto" };
const json = { "content-type": "application/json" };
const grpc = { "content-type": "application/grpc", te: "trailers" };
const message = (init: object) => toBinary(EchoRequestSchema, create(EchoRequestSchema, init));
const envelope = (bytes: Uint8Array, flags = 0) => {
  const frame = Buffer.alloc(5 + bytes.length);
  frame[0] = flags;
  frame.writeUInt32BE(bytes.length, 1);
  frame.set(bytes, 5);
  return frame;
};
const large = { text: "y".repeat(4000) };

const unary: Record<string, Request> = {
  proto: { headers: proto, body: message({ text: "hello", count: 3, labels: { b: "2", a: "1" } }) },
  "an empty message": { headers: proto },
  JSON: { headers: json, body: `{"text":"hello","count":3,"labels":{"a":"1"},"unknown":1}` },
  "JSON with a charset": { headers: { "content-type": "application/json; charset=utf-8" }, body: "{}" },
  "JSON that is none": { headers: json, body: "{" },
  "JSON of another shape": { headers: json, body: `{"text":1}` },
  "another content type": { headers: { "content-type": "text/plain" }, body: "hello" },
  "another method": { method: "PUT", headers: json, body: "{}" },
  "GET of a method with side effects": { method: "GET", path: `${service}/Echo?encoding=json&message=%7B%7D` },
  "GET in JSON": { method: "GET", path: `${service}/Read?connect=v1&encoding=json&message=%7B%22text%22%3A%22a%22%7D` },
  "GET in proto": {
    method: "GET",
    path: `${service}/Read?connect=v1&encoding=proto&base64=1&message=${Buffer.from(message({ text: "q" })).toString("base64url")}`,
  },
  "GET with base64 that is none": { method: "GET", path: `${service}/Read?encoding=proto&base64=1&message=%3F%3F` },
  "GET without an encoding": { method: "GET", path: `${service}/Read?message=%7B%7D` },
  "an error with details": { headers: json, body: `{"behaviour":"error"}` },
  "an accident": { headers: json, body: `{"behaviour":"throw"}` },
  metadata: {
    headers: { ...json, "send-header": "a", "send-bin": "AAEC", "send-trailer": "c" },
    body: `{"behaviour":"metadata"}`,
  },
  "no implementation": { path: `${service}/Unwritten`, headers: json, body: "{}" },
  "a deadline that is none": { headers: { ...json, "connect-timeout-ms": "soon" }, body: "{}" },
  "a deadline beyond the limit": { headers: { ...json, "connect-timeout-ms": "200000" }, body: "{}" },
  gzip: { headers: { ...json, "content-encoding": "gzip" }, body: gzipSync(`{"text":"zipped"}`) },
  "gzip that is none": { headers: { ...json, "content-encoding": "gzip" }, body: "plain" },
  "an unknown compression": { headers: { ...json, "content-encoding": "lzma" }, body: "{}" },
  "an answer worth compressing": { headers: { ...proto, "accept-encoding": "gzip" }, body: message(large) },
  "an answer worth compressing with brotli": {
    headers: { ...proto, "accept-encoding": "br, gzip" },
    body: message(large),
  },
  "a request beyond the limit": { headers: proto, body: message({ text: "x".repeat(10_001) }) },
};

const overGrpc: Record<string, Request> = {
  unary: { headers: grpc, body: envelope(message({ text: "hello" })) },
  JSON: { headers: { ...grpc, "content-type": "application/grpc+json" }, body: envelope(Buffer.from(`{"text":"a"}`)) },
  "no message": { headers: grpc },
  "two messages": { headers: grpc, body: Buffer.concat([envelope(message({})), envelope(message({}))]) },
  "half a message": { headers: grpc, body: envelope(message({ text: "hello" })).subarray(0, 8) },
  "an error with details": { headers: grpc, body: envelope(message({ behaviour: "error" })) },
  "an accident": { headers: grpc, body: envelope(message({ behaviour: "throw" })) },
  metadata: {
    headers: { ...grpc, "send-header": "a", "send-trailer": "c" },
    body: envelope(message({ behaviour: "metadata" })),
  },
  "no implementation": { path: `${service}/Unwritten`, headers: grpc, body: envelope(message({})) },
  "a deadline that is none": { headers: { ...grpc, "grpc-timeout": "soon" }, body: envelope(message({})) },
  gzip: { headers: { ...grpc, "grpc-encoding": "gzip" }, body: envelope(gzipSync(message({ text: "zipped" })), 1) },
  "compressed without saying how": { headers: grpc, body: envelope(gzipSync(message({})), 1) },
  "an unknown compression": { headers: { ...grpc, "grpc-encoding": "lzma" }, body: envelope(message({})) },
  "an answer worth compressing": {
    headers: { ...grpc, "grpc-accept-encoding": "gzip" },
    body: envelope(message(large)),
  },
  "a request beyond the limit": { headers: grpc, body: envelope(message({ text: "x".repeat(10_001) })) },
  "a server stream": { path: `${service}/Count`, headers: grpc, body: envelope(message({ count: 5, text: "s" })) },
  "a server stream that fails": {
    path: `${service}/Count`,
    headers: grpc,
    body: envelope(message({ count: 2, behaviour: "error" })),
  },
  "a client stream": {
    path: `${service}/Collect`,
    headers: grpc,
    body: Buffer.concat([envelope(message({ text: "a" })), envelope(message({ text: "b" }))]),
  },
  "a bidirectional stream": {
    path: `${service}/Chat`,
    headers: grpc,
    body: Buffer.concat([envelope(message({ text: "a" })), envelope(message({ text: "b" }))]),
  },
};

describe("HTTP/1.1", () => {
  test.each(Object.entries(unary))("Connect unary: %s", async (_name, request) => {
    const { port } = theirs1.address() as AddressInfo;
    expect(await sendHttp1(ours.endpoint, request)).toEqual(await sendHttp1(`http://127.0.0.1:${port}`, request));
  });
});

describe("HTTP/2", () => {
  test.each([
    ...Object.entries(unary),
    ...Object.entries(overGrpc).map(([name, request]) => [`gRPC: ${name}`, request] as const),
  ])("%s", async (_name, request) => {
    const { port } = theirs2.address() as AddressInfo;
    expect(await sendHttp2(ours.endpoint, request)).toEqual(await sendHttp2(`http://127.0.0.1:${port}`, request));
  });
});

describe("HTTP/2, on a connection that has carried a call already", () => {
  const after = { headers: grpc, body: envelope(message({ text: "first" })) };
  test.each([
    ...Object.entries(unary),
    ...Object.entries(overGrpc).map(([name, request]) => [`gRPC: ${name}`, request] as const),
  ])("%s", async (_name, request) => {
    const { port } = theirs2.address() as AddressInfo;
    const expected = await sendHttp2(`http://127.0.0.1:${port}`, request);
    expect(await sendHttp2(ours.endpoint, request, after)).toEqual(expected);
  });
});

test("one difference on purpose: protobuf that cannot be read is the caller's fault, not an internal error", async () => {
  const broken = Uint8Array.of(0xff, 0xff);
  const { port } = theirs1.address() as AddressInfo;
  const request = { headers: proto, body: broken };
  expect((await sendHttp1(ours.endpoint, request)).body).toContain(`"code":"invalid_argument"`);
  expect((await sendHttp1(`http://127.0.0.1:${port}`, request)).body).toContain(`"code":"internal"`);
  const overGrpc = await sendHttp2(ours.endpoint, { headers: grpc, body: envelope(broken) });
  expect(overGrpc.trailers).toMatchObject({ "grpc-status": String(Code.InvalidArgument) });
});

interface Answer {
  status: number | undefined;
  headers: object;
  body: string;
  trailers: object;
}

/** Dates differ by nature, and how a length is told is HTTP's business. */
function comparable(headers: Record<string, unknown>): object {
  const {
    date: _date,
    connection: _connection,
    "keep-alive": _keepAlive,
    "transfer-encoding": _encoding,
    ...rest
  } = headers;
  return { ...rest };
}

function sendHttp1(
  endpoint: string,
  { method = "POST", path = `${service}/Echo`, headers = {}, body }: Request,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = http.request(endpoint + path, { method, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () =>
        resolve({
          status: response.statusCode,
          headers: comparable(response.headers),
          body: Buffer.concat(chunks).toString("latin1"),
          trailers: response.trailers,
        }),
      );
    });
    request.on("error", reject);
    request.end(body);
  });
}

async function sendHttp2(endpoint: string, request: Request, after?: Request): Promise<Answer> {
  const session = http2.connect(endpoint);
  try {
    if (after) await sendOn(session, after);
    return await sendOn(session, request);
  } finally {
    session.close();
  }
}

function sendOn(
  session: http2.ClientHttp2Session,
  { method = "POST", path = `${service}/Echo`, headers = {}, body }: Request,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    session.on("error", reject);
    const stream = session.request({ ":method": method, ":path": path, ...headers });
    const answer: Answer = { status: undefined, headers: {}, body: "", trailers: {} };
    stream.on("response", ({ ":status": status, ...rest }) => {
      answer.status = status;
      answer.headers = comparable(rest);
    });
    stream.on("trailers", (trailers) => {
      answer.trailers = { ...trailers };
    });
    stream.setEncoding("latin1").on("data", (chunk: string) => {
      answer.body += chunk;
    });
    stream.on("error", reject);
    stream.on("close", () => resolve(answer));
    stream.end(body);
  });
}
