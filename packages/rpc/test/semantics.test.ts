import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { StringValueSchema } from "@bufbuild/protobuf/wkt";
import { type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  createInProcessTransport,
  createTransport,
  type RpcServer,
  serve,
  type TransportOptions,
} from "../src/index.js";
import { type EchoLog, echoRoutes } from "./echo-service.js";
import { eventually } from "./eventually.js";
import { EchoService } from "./gen/echo_pb.js";

// The same calls, whatever lies between: every way of calling must show a caller the same.
const log: EchoLog = { waiting: [] };
const directory = mkdtempSync(join(tmpdir(), "mecha-rpc-"));
let tcp: RpcServer;
let unix: RpcServer;
const transports: AsyncDisposable[] = [];

beforeAll(async () => {
  tcp = await serve({ routes: echoRoutes(log) });
  unix = await serve({ routes: echoRoutes(log), listen: { path: join(directory, "rpc.sock") } });
});
afterAll(async () => {
  for (const transport of transports) await transport[Symbol.asyncDispose]();
  await Promise.all([tcp.close({ deadlineMs: 1000 }), unix.close({ deadlineMs: 1000 })]);
  rmSync(directory, { recursive: true });
});

function over(options: () => TransportOptions): () => Transport {
  return () => {
    const transport = createTransport(options());
    transports.push(transport);
    return transport;
  };
}

const ways: [name: string, connect: () => Transport][] = [
  ["in process", () => createInProcessTransport(echoRoutes(log))],
  ["connect, HTTP/1.1", over(() => ({ endpoint: tcp.endpoint }))],
  ["connect, HTTP/1.1, JSON", over(() => ({ endpoint: tcp.endpoint, useJson: true }))],
  ["connect, HTTP/1.1, GET", over(() => ({ endpoint: tcp.endpoint, useHttpGet: true }))],
  ["connect, HTTP/1.1, gzip", over(() => ({ endpoint: tcp.endpoint, compressMinBytes: 0 }))],
  ["connect, HTTP/1.1, Unix socket", over(() => ({ endpoint: unix.endpoint }))],
  ["connect, HTTP/2", over(() => ({ endpoint: tcp.endpoint, httpVersion: "2" }))],
  ["connect, HTTP/2, Unix socket", over(() => ({ endpoint: unix.endpoint, httpVersion: "2" }))],
  ["gRPC", over(() => ({ endpoint: tcp.endpoint, protocol: "grpc" }))],
  ["gRPC, JSON, gzip", over(() => ({ endpoint: tcp.endpoint, protocol: "grpc", useJson: true, compressMinBytes: 0 }))],
  ["gRPC, Unix socket", over(() => ({ endpoint: unix.endpoint, protocol: "grpc" }))],
  ["gRPC-Web", over(() => ({ endpoint: tcp.endpoint, protocol: "grpc-web" }))],
];

describe.each(ways)("%s", (_name, connect) => {
  let client: Client<typeof EchoService>;
  beforeAll(() => {
    client = createClient(EchoService, connect());
  });

  test("unary: what is sent comes back", async () => {
    const data = new Uint8Array(5000).map((_, index) => index % 7);
    const response = await client.echo({ text: "hello", data, labels: { a: "1" }, count: 3 });
    expect(response).toMatchObject({ $typeName: "mecha.rpc.test.v1.EchoResponse", text: "hello", count: 3 });
    expect(response.labels).toEqual({ a: "1" });
    expect(Buffer.from(response.data).equals(data)).toBe(true);
    expect((await client.read({ text: "read" })).text).toBe("read");
    expect((await client.echo({})).text).toBe("");
  });

  test("metadata travels both ways, leading and trailing", async () => {
    let header = new Headers();
    let trailer = new Headers();
    const options = {
      headers: { "send-header": "lead", "send-trailer": "trail", "send-bin": "AAEC" },
      onHeader: (received: Headers) => {
        header = received;
      },
      onTrailer: (received: Headers) => {
        trailer = received;
      },
    };
    await client.echo({ behaviour: "metadata" }, options);
    expect([header.get("echo-header"), header.get("echo-bin"), trailer.get("echo-trailer")]).toEqual([
      "lead",
      "AAEC",
      "trail",
    ]);
    for await (const _ of client.count({ behaviour: "metadata", count: 2 }, options));
    expect([header.get("echo-header"), trailer.get("echo-trailer")]).toEqual(["lead", "trail"]);
  });

  test("a ConnectError arrives with its code, message, metadata and details", async () => {
    const errors = [
      await client.echo({ behaviour: "error" }).catch((error: unknown) => error),
      await client.collect(once({ behaviour: "error" })).catch((error: unknown) => error),
    ];
    for (const error of errors) {
      expect(error).toBeInstanceOf(ConnectError);
      if (!(error instanceof ConnectError)) return;
      expect(error.code).toBe(Code.NotFound);
      expect(error.rawMessage).toBe("no such thing: ünïcode");
      expect(error.metadata.get("error-header")).toBe("why");
      expect(error.findDetails(StringValueSchema).map((detail) => detail.value)).toEqual(["detail"]);
    }
  });

  test("what a handler throws by accident stays inside the server", async () => {
    const error = await client.echo({ behaviour: "throw" }).catch((reason: unknown) => ConnectError.from(reason));
    expect(error).toMatchObject({ code: Code.Internal, rawMessage: "internal error" });
  });

  test("a method without an implementation is UNIMPLEMENTED", async () => {
    await expect(client.unwritten({}).catch(codeOf)).resolves.toBe(Code.Unimplemented);
  });

  test("a deadline ends the call on both sides", async () => {
    const before = log.waiting.length;
    await expect(client.echo({ behaviour: "wait" }, { timeoutMs: 50 }).catch(codeOf)).resolves.toBe(
      Code.DeadlineExceeded,
    );
    await eventually(() => log.waiting[before]?.aborted === true, "the handler's signal");
    let remaining: string | null = null;
    await client.echo(
      { behaviour: "deadline" },
      {
        timeoutMs: 60_000,
        onHeader: (header) => {
          remaining = header.get("timeout-ms");
        },
      },
    );
    expect(Number(remaining)).toBeGreaterThan(50_000);
    expect(Number(remaining)).toBeLessThanOrEqual(60_000);
  });

  test("cancelling reaches the handler's signal", async () => {
    for (const call of [
      (signal: AbortSignal) => client.echo({ behaviour: "wait" }, { signal }),
      (signal: AbortSignal) => all(client.count({ behaviour: "wait", count: 1 }, { signal })),
    ]) {
      const before = log.waiting.length;
      const abort = new AbortController();
      const code = call(abort.signal).catch(codeOf);
      await eventually(() => log.waiting.length > before, "the handler's start");
      abort.abort();
      await expect(code).resolves.toBe(Code.Canceled);
      await eventually(() => log.waiting[before]?.aborted === true, "the handler's signal");
    }
    await expect(client.echo({}, { signal: AbortSignal.abort() }).catch(codeOf)).resolves.toBe(Code.Canceled);
  });

  test("server streaming: messages in order, then the end or the error", async () => {
    const counts = (await all(client.count({ count: 200, text: "x" }))).map((response) => response.count);
    expect(counts).toEqual(Array.from({ length: 200 }, (_, index) => index + 1));
    expect(await all(client.count({ count: 0 }))).toEqual([]);
    const received: number[] = [];
    const failed = (async () => {
      for await (const response of client.count({ count: 3, behaviour: "error" })) received.push(response.count);
    })();
    await expect(failed.catch(codeOf)).resolves.toBe(Code.NotFound);
    expect(received).toEqual([1, 2, 3]);
  });

  test("client streaming: one answer to all messages", async () => {
    const response = await client.collect(
      (async function* () {
        for (const text of ["a", "b", "c"]) yield { text };
      })(),
    );
    expect(response).toMatchObject({ text: "abc", count: 3 });
    expect(await client.collect(once())).toMatchObject({ text: "", count: 0 });
  });

  test("bidirectional: each answer is there before the next question is asked", async () => {
    const heard: string[] = [];
    let ask: (text: string | undefined) => void = () => {};
    const questions = (async function* () {
      for (;;) {
        const text = await new Promise<string | undefined>((resolve) => {
          ask = resolve;
        });
        if (text === undefined) return;
        yield { text };
      }
    })();
    const answers = client.chat(questions)[Symbol.asyncIterator]();
    for (const text of ["one", "two", "three"]) {
      const next = answers.next();
      await eventually(() => ask !== undefined, "the question");
      await new Promise((resolve) => setImmediate(resolve));
      ask(text);
      heard.push((await next).value?.text ?? "");
    }
    const end = answers.next();
    await new Promise((resolve) => setImmediate(resolve));
    ask(undefined);
    expect((await end).done).toBe(true);
    expect(heard).toEqual(["one", "two", "three"]);
  });
});

async function* once(...items: { behaviour?: string; text?: string }[]) {
  yield* items;
}

async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

function codeOf(reason: unknown): Code {
  return ConnectError.from(reason).code;
}
