import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { type ServeOptions, serve } from "../src/index.js";
import { echoRoutes } from "./echo-service.js";
import { eventually } from "./eventually.js";
import { EchoService } from "./gen/echo_pb.js";
import { RawConnection } from "./raw-http1.js";

// Plain calls over HTTP/1.1 are read without node:http, which takes the connection over at the first request that is anything else. An empty line
// before a request, which HTTP allows, is such a thing: so the same request can be sent both ways.
const path = "/mecha.rpc.test.v1.EchoService/Echo";
const start = (options: Partial<ServeOptions> = {}) => serve({ routes: echoRoutes(), ...options });

function post(body: string, ...headers: string[]): string {
  const lines = [`POST ${path} HTTP/1.1`, "host: x", "content-type: application/json", ...headers];
  return `${lines.join("\r\n")}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

/** The answer to some bytes that end with a whole request. */
async function ask(endpoint: string, bytes: string, end: RegExp = /\r\n\r\n.*\}$/s): Promise<string> {
  using connection = new RawConnection(endpoint).send(bytes);
  await eventually(() => end.test(connection.text), "an answer");
  return connection.text.replace(/Date: [^\r]+/, "Date: now");
}

const count = (text: string, part: string) => text.split(part).length - 1;

describe("byte for byte alike, node:http or not", () => {
  test.each([
    ["a call", post(`{"text":"hello"}`)],
    ["an error with details", post(`{"behaviour":"error"}`)],
    ["an accident", post(`{"behaviour":"throw"}`)],
    ["metadata", post(`{"behaviour":"metadata"}`, "send-header: a", "send-trailer: c")],
    ["JSON that is none", post("{")],
    ["a deadline that is none", post("{}", "connect-timeout-ms: soon")],
    ["a large answer", post(JSON.stringify({ text: "x".repeat(40_000) }))],
    ["what is too large", post(JSON.stringify({ text: "x".repeat(60_000) }))],
  ])("%s", async (_what, request) => {
    await using server = await start({ limits: { readMaxBytes: 50_000 } });
    expect(await ask(server.endpoint, request)).toBe(await ask(server.endpoint, `\r\n${request}`));
  });

  test("a refusal of the guard, before the body has come", async () => {
    const guard = () => new ConnectError("no", Code.PermissionDenied);
    await using server = await start({ guard });
    const half = post("{}").slice(0, -1);
    expect(await ask(server.endpoint, half)).toBe(await ask(server.endpoint, `\r\n${half}`));
  });
});

describe("a connection", () => {
  test("serves call after call, whole or in pieces", async () => {
    await using server = await start();
    using connection = new RawConnection(server.endpoint);
    const request = post(`{"text":"piece"}`);
    for (let split = 1; split < 12; split++) {
      const at = request.length - split;
      connection.send(request.slice(0, at));
      await new Promise((resolve) => setTimeout(resolve, 2));
      connection.send(request.slice(at));
      await eventually(() => count(connection.text, `{"text":"piece"`) === split, "the answer");
    }
    expect(count(connection.text, "HTTP/1.1 200")).toBe(11);
  });

  test("serves requests that come at once in their order, whoever reads them", async () => {
    const release: (() => void)[] = [];
    await using server = await start({
      routes: (router) =>
        router.service(EchoService, {
          echo: ({ text }) =>
            text === "slow" ? new Promise((resolve) => release.push(() => resolve({ text }))) : { text },
        }),
      fallback: (_request, response) => void response.end("plain"),
    });
    const plain = "GET /plain HTTP/1.1\r\nhost: x\r\n\r\n";
    using connection = new RawConnection(server.endpoint);
    connection.send(
      post(`{"text":"a"}`) + post(`{"text":"slow"}`) + post(`{"text":"b"}`) + plain + post(`{"text":"c"}`),
    );
    await eventually(() => release.length === 1, "the slow handler");
    expect(connection.text).not.toContain(`"b"`);
    release[0]?.();
    await eventually(() => connection.text.includes(`"c"`), "the last answer");
    expect([...connection.text.matchAll(/"(a|slow|b|c)"|plain/g)].map(([found]) => found)).toEqual([
      `"a"`,
      `"slow"`,
      `"b"`,
      "plain",
      `"c"`,
    ]);
  });

  test("goes to node:http with a call that it cannot serve, and stays usable", async () => {
    await using server = await start();
    using connection = new RawConnection(server.endpoint);
    connection.send(post(`{"text":"a"}`));
    connection.send(post("", "te: x").replace("application/json", "application/grpc-web+proto"));
    connection.send(
      `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n`,
    );
    connection.send(`2\r\n{}\r\n0\r\n\r\n${post(`{"text":"b"}`)}`);
    await eventually(() => connection.text.includes(`{"text":"b"`), "the last answer");
    expect(count(connection.text, "HTTP/1.1 200")).toBe(4);
  });

  test("takes no second length for a body, nor a body for a request", async () => {
    await using server = await start();
    const smuggled = post(`{"text":"smuggled"}`);
    for (const header of ["content-length: 0", "transfer-encoding: chunked", "transfer-encoding : chunked"]) {
      using connection = new RawConnection(server.endpoint).send(post(smuggled, header));
      await eventually(() => connection.closed, "the end of the connection");
      expect(connection.text).toMatch(/^HTTP\/1\.1 400/);
      expect(connection.text).not.toContain("smuggled");
    }
    // A body that looks like a request is a body.
    using connection = new RawConnection(server.endpoint).send(post(smuggled) + post(`{"text":"next"}`));
    await eventually(() => connection.text.includes("next"), "the next answer");
    expect(count(connection.text, "HTTP/1.1 ")).toBe(2);
    expect(connection.text).not.toContain(`"text":"smuggled"`);
  });

  test("drops the rest of a body whose call is answered, and goes on behind it", async () => {
    await using server = await start({ limits: { readMaxBytes: 1000 } });
    const large = "x".repeat(100_000);
    using connection = new RawConnection(server.endpoint).send(post(large) + post(`{"text":"next"}`));
    await eventually(() => connection.text.includes("next"), "the next answer");
    expect(connection.text).toMatch(/^HTTP\/1\.1 429/);
  });

  test("whose rest of a body never comes is closed", async () => {
    await using server = await start({ limits: { readMaxBytes: 1000, bodyTimeoutMs: 100 } });
    using connection = new RawConnection(server.endpoint).send(post("x".repeat(2000)).slice(0, -1));
    await eventually(() => connection.closed, "the end of the connection");
    expect(connection.text).toMatch(/^HTTP\/1\.1 429/);
  });

  test("that ends while its call is served takes the call's signal with it", async () => {
    const signals: AbortSignal[] = [];
    await using server = await start({
      routes: (router) =>
        router.service(EchoService, {
          echo: (_request, { signal }) => new Promise(() => signals.push(signal)),
        }),
    });
    for (const end of ["end", "destroy"] as const) {
      using connection = new RawConnection(server.endpoint).send(post("{}"));
      await eventually(() => signals.length === 1, "the handler's start");
      connection.socket[end]();
      await eventually(() => signals[0]?.aborted === true, "the signal");
      expect(ConnectError.from(signals[0]?.reason).code).toBe(Code.Canceled);
      await eventually(() => connection.closed, "the end of the connection");
      signals.length = 0;
    }
  });

  test("drains with its answer, and at once when idle", async () => {
    const release: (() => void)[] = [];
    const server = await start({
      routes: (router) =>
        router.service(EchoService, {
          echo: ({ text }) =>
            text === "slow" ? new Promise((resolve) => release.push(() => resolve({ text }))) : { text },
        }),
    });
    using idle = new RawConnection(server.endpoint).send(post(`{"text":"a"}`));
    using busy = new RawConnection(server.endpoint).send(post(`{"text":"slow"}`));
    await eventually(() => release.length === 1 && idle.text.includes(`"a"`), "both");
    const closing = server.close();
    await eventually(() => idle.closed, "the end of the idle one");
    expect(busy.closed).toBe(false);
    release[0]?.();
    await closing;
    await eventually(() => busy.closed, "the end of the busy one");
    expect(busy.text).toContain("Connection: close\r\n");
    expect(busy.text).toContain(`"slow"`);
  });

  test("ends when a handler says so", async () => {
    await using server = await start({
      routes: (router) =>
        router.service(EchoService, {
          echo(_request, { responseHeader }) {
            responseHeader.set("connection", "close");
            return { text: "last" };
          },
        }),
    });
    using connection = new RawConnection(server.endpoint).send(post("{}") + post("{}"));
    await eventually(() => connection.closed, "the end of the connection");
    expect(count(connection.text, "HTTP/1.1 200")).toBe(1);
  });
});
