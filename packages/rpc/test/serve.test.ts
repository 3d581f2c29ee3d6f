import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import * as http2 from "node:http2";
import * as net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { afterAll, describe, expect, test } from "vitest";
import { createTransport, serve } from "../src/index.js";
import { echoRoutes } from "./echo-service.js";
import { EchoService } from "./gen/echo_pb.js";

const directory = mkdtempSync(join(tmpdir(), "mecha-rpc-"));
afterAll(() => rmSync(directory, { recursive: true }));

describe("one port", () => {
  test("curl's JSON, HTTP/2 prior knowledge and plain HTTP share it", async () => {
    await using server = await serve({
      routes: echoRoutes(),
      fallback: (request, response) => {
        response.writeHead(200, { "content-type": "text/plain" });
        response.end(`plain ${request.url}`);
      },
    });
    const json = await fetch(`${server.endpoint}/mecha.rpc.test.v1.EchoService/Echo`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ text: "hi" }),
    });
    expect(await json.json()).toEqual({ text: "hi" });
    expect(await (await fetch(`${server.endpoint}/healthz`)).text()).toBe("plain /healthz");
    expect(await getOverHttp2(server.endpoint, "/readyz")).toBe("plain /readyz");
  });

  test("without a fallback, what is no RPC is 404", async () => {
    await using server = await serve({ routes: echoRoutes() });
    expect((await fetch(`${server.endpoint}/nothing`)).status).toBe(404);
  });

  test("a server without TLS takes no certificate", async () => {
    await using server = await serve({ routes: echoRoutes() });
    expect(() => server.renewTls({ key: "", cert: "" })).toThrow(new TypeError("the server was started without TLS"));
  });

  test("a preface that arrives byte by byte is still HTTP/2", async () => {
    await using server = await serve({ routes: echoRoutes() });
    const { port } = new URL(server.endpoint);
    const socket = net.connect(Number(port), "127.0.0.1").setNoDelay();
    const first = new Promise<Buffer>((resolve) => socket.once("data", resolve));
    for (const byte of Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", "latin1")) {
      socket.write(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    // A SETTINGS frame: type 4 at offset 3.
    expect((await first)[3]).toBe(4);
    socket.destroy();
  });
});

describe("a Unix socket", () => {
  test("is private, replaces a stale one, refuses a live one, and goes away", async () => {
    const path = join(directory, "a.sock");
    const first = await serve({ routes: echoRoutes(), listen: { path } });
    expect(first.endpoint).toBe(`unix:${path}`);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    await expect(serve({ routes: echoRoutes(), listen: { path } })).rejects.toMatchObject({ code: "EADDRINUSE" });
    await first.close();
    expect(existsSync(path)).toBe(false);

    const stale = join(directory, "stale.sock");
    leaveStaleSocket(stale);
    expect(existsSync(stale)).toBe(true);
    await using second = await serve({ routes: echoRoutes(), listen: { path: stale } });
    await using transport = createTransport({ endpoint: second.endpoint });
    expect(await createClient(EchoService, transport).echo({ text: "alive" })).toMatchObject({ text: "alive" });
  });
});

describe("a busy port", () => {
  test("is EADDRINUSE", async () => {
    await using server = await serve({ routes: echoRoutes() });
    const port = Number(new URL(server.endpoint).port);
    await expect(serve({ routes: echoRoutes(), listen: { port } })).rejects.toMatchObject({ code: "EADDRINUSE" });
  });
});

describe("the guard", () => {
  test.each(["connect", "grpc", "grpc-web"] as const)(
    "refuses %s calls in their protocol, and plain HTTP",
    async (protocol) => {
      const seen: string[] = [];
      await using server = await serve({
        routes: echoRoutes(),
        guard: (head) => {
          seen.push(`${head.method} ${head.url} ${head.header("authorization")} ${head.remoteAddress}`);
          if (head.header("authorization") === "Bearer good") return undefined;
          return new ConnectError("send the token", Code.Unauthenticated, { "www-authenticate": "Bearer" });
        },
      });
      await using transport = createTransport({ endpoint: server.endpoint, protocol });
      const client = createClient(EchoService, transport);
      const refused = await client
        .echo({ text: "x".repeat(100_000) })
        .catch((error: unknown) => ConnectError.from(error));
      expect(refused).toMatchObject({ code: Code.Unauthenticated, rawMessage: "send the token" });
      const stream = client
        .chat(
          (async function* () {
            yield { text: "x" };
          })(),
        )
        [Symbol.asyncIterator]();
      await expect(stream.next()).rejects.toMatchObject({ code: Code.Unauthenticated });
      const headers = { authorization: "Bearer good" };
      expect(await client.echo({ text: "in" }, { headers })).toMatchObject({ text: "in" });
      expect(seen.at(-1)).toBe("POST /mecha.rpc.test.v1.EchoService/Echo Bearer good 127.0.0.1");
      const plain = await fetch(`${server.endpoint}/healthz`);
      expect(plain.status).toBe(401);
      expect(await plain.json()).toEqual({ code: "unauthenticated", message: "send the token" });
    },
  );
});

describe("what throws by mistake", () => {
  test.each(["1.1", "2"] as const)("in the guard refuses with an internal error over HTTP/%s", async (httpVersion) => {
    await using server = await serve({
      routes: echoRoutes(),
      guard() {
        throw new Error("a secret of the guard");
      },
    });
    await using transport = createTransport({ endpoint: server.endpoint, httpVersion });
    const call = createClient(EchoService, transport).echo({ text: "x" });
    await expect(call).rejects.toMatchObject({ code: Code.Internal, rawMessage: "internal error" });
  });

  test.each([
    ["throws", () => fail()],
    ["rejects", async () => fail()],
  ])("in a fallback that %s is answered, and the server goes on", async (_how, fallback) => {
    await using server = await serve({ routes: echoRoutes(), fallback });
    const answer = await fetch(`${server.endpoint}/door`);
    expect([answer.status, await answer.json()]).toEqual([500, { code: "internal", message: "internal error" }]);
    expect(JSON.parse(await getOverHttp2(server.endpoint, "/door"))).toMatchObject({ code: "internal" });
  });

  test("in a fallback that has begun to answer breaks it off", async () => {
    await using server = await serve({
      routes: echoRoutes(),
      fallback(_request, response) {
        response.write("half");
        fail();
      },
    });
    await expect(fetch(`${server.endpoint}/door`).then((answer) => answer.text())).rejects.toThrow();
    expect((await fetch(`${server.endpoint}/door`).catch(() => undefined))?.status).not.toBe(500);
  });
});

function fail(): never {
  throw new Error("a mistake of the fallback");
}

test("curl without a content type is told which one to send", async () => {
  await using server = await serve({ routes: echoRoutes() });
  for (const headers of [{ "content-type": "application/x-www-form-urlencoded" }, {}]) {
    const call = { method: "POST", headers, body: new TextEncoder().encode('{"text":"a"}') };
    const response = await fetch(`${server.endpoint}/mecha.rpc.test.v1.EchoService/Echo`, call);
    expect(response.status).toBe(415);
    expect(await response.text()).toMatch(/content-type: application\/json/);
  }
});

function getOverHttp2(endpoint: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const session = http2.connect(endpoint);
    session.on("error", reject);
    const stream = session.request({ ":path": path });
    let text = "";
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    stream.on("end", () => {
      session.close();
      resolve(text);
    });
  });
}

/** What a process that was killed leaves behind: a socket file that nobody listens on. */
function leaveStaleSocket(path: string): void {
  const { status } = spawnSync(process.execPath, [
    "-e",
    `require("net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`,
  ]);
  expect(status).toBe(null);
}
