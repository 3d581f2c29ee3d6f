import * as net from "node:net";
import { create, toBinary } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { Http1ResponseReader } from "../src/client/http1-response.js";
import { WholeResponse } from "../src/client/http1-whole-response.js";
import { createTransport, serve } from "../src/index.js";
import { EnvelopeReader } from "../src/wire/envelope.js";
import { echoRoutes } from "./echo-service.js";
import { EchoRequestSchema, EchoService } from "./gen/echo_pb.js";
import { createRandom, mutate } from "./random.js";

// Random and mutated bytes, for a second in every test run and for as long as MECHA_FUZZ_SECONDS says. A failure prints its seed.
const seconds = Number(process.env.MECHA_FUZZ_SECONDS ?? 1);
const seed = Number(process.env.MECHA_FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31));

const path = "/mecha.rpc.test.v1.EchoService/Echo";
const body = toBinary(EchoRequestSchema, create(EchoRequestSchema, { text: "hello", labels: { a: "b" } }));
const frame = Buffer.concat([Buffer.of(0, 0, 0, 0, body.length), body]);
const http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const settings = Buffer.of(0, 0, 0, 4, 0, 0, 0, 0, 0);
/** HEADERS of a gRPC request, without Huffman coding, and its DATA. */
const toHttp2Request = (stream: number) => {
  const text = (value: string) => Buffer.concat([Buffer.of(value.length), Buffer.from(value)]);
  const literal = (name: string, value: string) => Buffer.concat([Buffer.of(0), text(name), text(value)]);
  const block = Buffer.concat([
    Buffer.of(0x83, 0x86),
    literal(":path", path),
    literal(":authority", "x"),
    literal("content-type", "application/grpc"),
    literal("te", "trailers"),
  ]);
  const headers = Buffer.concat([Buffer.of(0, 0, block.length, 1, 4, 0, 0, 0, stream), block]);
  return Buffer.concat([headers, Buffer.of(0, 0, frame.length, 0, 1, 0, 0, 0, stream), frame]);
};
const http2Start = Buffer.concat([Buffer.from(http2Preface), settings, toHttp2Request(1)]);
const templates = [
  Buffer.from(
    `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 16\r\n\r\n{"text":"hello"}`,
  ),
  Buffer.concat([
    Buffer.from(
      `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/proto\r\ncontent-length: ${body.length}\r\n\r\n`,
    ),
    body,
  ]),
  Buffer.from(`GET ${path.replace("Echo", "Read")}?encoding=json&message=%7B%7D HTTP/1.1\r\nhost: x\r\n\r\n`),
  http2Start,
];
/** What comes behind a request that is served well, and so with the connection in the hands of this package's own parsers. */
const sequels: [before: Buffer, template: Buffer][] = [
  [templates[0] as Buffer, templates[1] as Buffer],
  [http2Start, Buffer.concat([toHttp2Request(3), toHttp2Request(5)])],
  [http2Start, Buffer.concat([settings, Buffer.of(0, 0, 4, 8, 0, 0, 0, 0, 3, 0, 0, 1, 0), toHttp2Request(3)])],
];

test(
  `random and mutated bytes neither stop nor hang the server (seed ${seed})`,
  async () => {
    const random = createRandom(seed);
    await using server = await serve({
      routes: echoRoutes(),
      limits: { headersTimeoutMs: 500, bodyTimeoutMs: 500, writeTimeoutMs: 500 },
    });
    const { port } = new URL(server.endpoint);
    const rejections: unknown[] = [];
    const onRejection = (reason: unknown) => rejections.push(reason);
    process.on("unhandledRejection", onRejection);
    await using transport = createTransport({ endpoint: server.endpoint });
    const client = createClient(EchoService, transport);
    const end = performance.now() + seconds * 1000;
    let sent = 0;
    while (performance.now() < end) {
      await Promise.all(
        Array.from({ length: 32 }, () => {
          const template = templates[random(templates.length)] as Buffer;
          const [before, after] = sequels[random(sequels.length)] as (typeof sequels)[number];
          const noise = Buffer.from(Array.from({ length: random(200) }, () => random(256)));
          const bytes =
            random(2) === 0
              ? Buffer.concat([before, random(10) === 0 ? noise : mutate(after, random)])
              : random(10) === 0
                ? noise
                : mutate(template, random);
          sent++;
          return sendAndClose(Number(port), bytes);
        }),
      );
      // Whoever behaves is served all the while.
      expect((await client.echo({ text: "ok" }, { timeoutMs: 5000 })).text).toBe("ok");
    }
    process.off("unhandledRejection", onRejection);
    expect(rejections).toEqual([]);
    expect(sent).toBeGreaterThan(32);
  },
  seconds * 1000 + 30_000,
);

/** Sends bytes, ends, and resolves when the server has closed or answered. */
function sendAndClose(port: number, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, "127.0.0.1");
    const late = setTimeout(() => reject(new Error(`the server hangs on ${bytes.toString("base64")}`)), 10_000);
    const done = () => {
      clearTimeout(late);
      socket.destroy();
      resolve();
    };
    socket.on("error", done);
    socket.on("close", done);
    socket.on("data", done);
    socket.end(bytes);
  });
}

test("readers give the same whatever the chunks", () => {
  const random = createRandom(seed);
  const response = Buffer.from(
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-type: application/proto\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\ntrailer: x\r\n\r\n",
  );
  const envelopes = Buffer.concat([frame, frame, frame]);
  for (let round = 0; round < 2000; round++) {
    const whole = new WholeResponse(1000);
    const reader = new Http1ResponseReader(whole, false);
    let isWhole = false;
    for (const chunk of cut(response, random)) isWhole = reader.read(chunk);
    expect([isWhole, reader.keepAlive, reader.trailers]).toEqual([true, true, ["trailer", "x"]]);
    expect(Buffer.from(whole.finish().body).toString()).toBe("hello world");
    const messages: Uint8Array[] = [];
    const envelopeReader = new EnvelopeReader(1000);
    for (const chunk of cut(envelopes, random)) envelopeReader.read(chunk, ({ data }) => messages.push(data));
    envelopeReader.end();
    expect(messages.map((data) => Buffer.from(data).equals(body))).toEqual([true, true, true]);
  }
});

function* cut(bytes: Buffer, random: (below: number) => number): Generator<Buffer> {
  for (let offset = 0; offset < bytes.length; ) {
    const size = 1 + random(40);
    yield bytes.subarray(offset, offset + size);
    offset += size;
  }
}
