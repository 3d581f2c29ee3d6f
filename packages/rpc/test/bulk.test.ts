import { randomBytes } from "node:crypto";
import * as http2 from "node:http2";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { createTransport, serve } from "../src/index.js";
import { encodeEnvelope } from "../src/wire/envelope.js";
import { echoRoutes } from "./echo-service.js";
import { EchoRequestSchema, EchoResponseSchema, EchoService } from "./gen/echo_pb.js";

const service = "/mecha.rpc.test.v1.EchoService";
const mebibyte = 1024 * 1024;

/** Sends messages through the echo of both ways, and looks at every byte that comes back. */
async function chat(client: ReturnType<typeof grpcClient>, count: number, text: (index: number) => string) {
  async function* send() {
    for (let index = 0; index < count; index++) yield { count: index, text: text(index) };
  }
  let next = 0;
  for await (const message of client.chat(send())) {
    if (message.count !== next || message.text !== text(next)) throw new Error(`message ${next} is not what was sent`);
    next++;
  }
  return next;
}

function grpcClient(endpoint: string) {
  const transport = createTransport({
    endpoint,
    protocol: "grpc",
    readMaxBytes: 100 * mebibyte,
    writeMaxBytes: 100 * mebibyte,
  });
  return Object.assign(createClient(EchoService, transport), { close: () => transport.close() });
}

test("100,000 messages go each way, and a body of 64 MiB, byte for byte", { timeout: 60_000 }, async () => {
  await using server = await serve({
    routes: echoRoutes(),
    limits: { readMaxBytes: 100 * mebibyte, writeMaxBytes: 100 * mebibyte },
  });
  const client = grpcClient(server.endpoint);
  expect(await chat(client, 100_000, (index) => `${index}:`.repeat(1 + (index % 40)))).toBe(100_000);
  const data = randomBytes(64 * mebibyte);
  const answer = await client.echo({ data });
  expect(data.equals(answer.data)).toBe(true);
  await client.close();
});

test("unary calls and streams share a connection whose windows run empty", { timeout: 60_000 }, async () => {
  await using server = await serve({ routes: echoRoutes(), limits: { readMaxBytes: 10 * mebibyte } });
  // The client's own window of the connection is the smallest there is, and a stream's is smaller than many messages.
  const session = http2.connect(server.endpoint, { settings: { initialWindowSize: 5_000 } });
  const call = async (method: string, sizes: readonly number[]) => {
    const sent = sizes.map((size, count) => create(EchoRequestSchema, { count, data: randomBytes(size) }));
    const stream = session.request({
      ":method": "POST",
      ":path": `${service}/${method}`,
      "content-type": "application/grpc",
      te: "trailers",
    });
    let status: unknown;
    stream.on("trailers", (trailers) => {
      status = trailers["grpc-status"];
    });
    for (const message of sent) stream.write(encodeEnvelope(0, toBinary(EchoRequestSchema, message)));
    stream.end();
    const chunks: Buffer[] = [];
    for await (const chunk of stream) {
      chunks.push(chunk as Buffer);
      // Now and then the client reads slowly, and lets its windows run empty.
      if (chunks.length % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    const body = Buffer.concat(chunks);
    let at = 0;
    for (const { count, data } of sent) {
      const end = at + 5 + body.readUInt32BE(at + 1);
      const got = fromBinary(EchoResponseSchema, body.subarray(at + 5, end));
      expect([got.count, Buffer.from(got.data).equals(data)]).toEqual([count, true]);
      at = end;
    }
    expect([at, status]).toEqual([body.length, "0"]);
  };
  await call("Echo", [10]);
  await Promise.all([
    call("Chat", Array<number>(2_000).fill(1_000)),
    call("Echo", [3 * mebibyte]),
    call("Chat", [mebibyte, 1, mebibyte, 20_000, 0]),
    ...Array.from({ length: 50 }, (_, index) => call("Echo", [index * 400])),
    call("Chat", Array<number>(5_000).fill(3)),
  ]);
  session.close();
});

test("a client that does not read makes the handler wait, and a slow handler the client", async () => {
  let sent = 0;
  let taken = 0;
  let go = () => {};
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  await using server = await serve({
    routes: (router) =>
      router.service(EchoService, {
        async *count() {
          for (; sent < 20_000; sent++) yield { text: "x".repeat(1000) };
        },
        async collect(requests) {
          for await (const _ of requests) {
            taken++;
            await gate;
          }
          return { count: taken };
        },
      }),
  });
  const client = grpcClient(server.endpoint);
  let given = 0;
  async function* send() {
    for (; given < 20_000; given++) yield { text: "x".repeat(1000) };
  }
  const collected = client.collect(send());
  const messages = client.count({})[Symbol.asyncIterator]();
  await messages.next();
  // Both stop where the windows and buffers are full, far from all 20 MB.
  const settle = async (look: () => number) => {
    for (let before = -1, same = 0; same < 20; ) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      same = before === look() ? same + 1 : 0;
      before = look();
    }
    return look();
  };
  expect(await settle(() => sent)).toBeLessThan(15_000);
  expect(await settle(() => given)).toBeLessThan(15_000);
  expect(taken).toBe(1);
  go();
  expect((await collected).count).toBe(20_000);
  let rest = 1;
  while ((await messages.next()).done !== true) rest++;
  expect(rest).toBe(20_000);
  await client.close();
});
