import type { IncomingHttpHeaders } from "node:http";
import * as net from "node:net";
import { Readable } from "node:stream";
import { buffer, text } from "node:stream/consumers";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, onTestFinished, test } from "vitest";
import { createHttp1Client, type ProxyHandler, type ServeOptions, serve, type WholeExchange } from "../src/index.js";
import { echoRoutes } from "./echo-service.js";
import { eventually } from "./eventually.js";
import { RawConnection } from "./raw-http1.js";

/** A server whose proxy takes "/to/…", and tells which way each request came. */
async function start(handleWhole: (exchange: WholeExchange) => unknown, options: Partial<ServeOptions> = {}) {
  const ways: string[] = [];
  const proxy: ProxyHandler = {
    takes: (url) => url.startsWith("/to/"),
    async handle(request, response) {
      ways.push("node");
      const body = await buffer(request);
      response.end(`${request.method} ${request.url} ${body.length}`);
    },
    upgrade: (_request, socket) => void socket.destroy(),
    handleWhole(exchange) {
      if (handleWhole(exchange) === false) return false;
      ways.push("whole");
      return true;
    },
  };
  const server = await serve({ routes: echoRoutes(), proxy, ...options });
  onTestFinished(() => server.close({ deadlineMs: 100 }));
  return { endpoint: server.endpoint, ways, server };
}

const answer = (exchange: WholeExchange) =>
  exchange.respond(200, { "content-type": "text/plain" }, Buffer.from(`${exchange.url} ${exchange.body.length}`));

describe("a proxy is given requests that are whole", () => {
  test("after the guard has let them in, with headers of their own", async () => {
    const seen: IncomingHttpHeaders[] = [];
    const guard: ServeOptions["guard"] = (head) =>
      head.header("x-in") === undefined ? new ConnectError("no", Code.Unauthenticated) : undefined;
    const { endpoint, ways } = await start(
      (exchange) => {
        seen.push({ ...exchange.headers });
        delete exchange.headers["x-in"];
        answer(exchange);
      },
      { guard },
    );
    using connection = new RawConnection(endpoint);
    connection.send("GET /to/a HTTP/1.1\r\nhost: x\r\n\r\n");
    await eventually(() => connection.text.includes("401"), "a refusal");
    const good = "POST /to/b HTTP/1.1\r\nhost: x\r\nx-in: 1\r\ncontent-length: 2\r\n\r\nab";
    connection.send(good).send(good);
    await eventually(() => connection.text.split("/to/b 2").length === 3, "both answers");
    expect(seen.map((headers) => headers["x-in"])).toEqual(["1", "1"]);
    expect(ways).toEqual(["whole", "whole"]);
  });

  test("but not those that it declines, that are large, or in the least unusual", async () => {
    const { endpoint, ways } = await start((exchange) => exchange.url !== "/to/declined" && void answer(exchange));
    for (const request of [
      "GET /to/declined HTTP/1.1\r\nhost: x\r\n\r\n",
      `POST /to/a HTTP/1.1\r\nhost: x\r\ncontent-length: 70000\r\n\r\n${"x".repeat(70_000)}`,
      "POST /to/a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
      "GET /to/a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
      "GET /to/a HTTP/1.0\r\nhost: x\r\n\r\n",
      "OPTIONS /to/a HTTP/1.1\r\nhost: x\r\n\r\n",
    ]) {
      using connection = new RawConnection(endpoint).send(request);
      await eventually(() => connection.text.includes(" /to/"), `an answer to ${request.slice(0, 40)}`);
    }
    expect(ways).toEqual(new Array(6).fill("node"));
  });

  test("nor those whose body does not come at once", async () => {
    const { endpoint, ways } = await start(answer);
    using connection = new RawConnection(endpoint);
    connection.send("POST /to/a HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nab");
    await eventually(() => ways.length === 1, "that Node has it");
    connection.send("cd");
    await eventually(() => connection.text.endsWith("POST /to/a 4"), "the answer");
    expect(ways).toEqual(["node"]);
  });
});

describe("what is written", () => {
  const values = ["a\r\nx: y", "a\nb", "a\rb", "a\0b", "a\u010ab", "a\x7f"];
  test.each(values)("no header can be %j", async (value) => {
    let error: unknown;
    const { endpoint } = await start((exchange) => {
      for (const send of [
        () => exchange.respond(200, { "x-a": value }, Buffer.from("")),
        () => exchange.respond(200, { [value]: "a" }, Buffer.from("")),
        () => exchange.inform(103, { link: value }),
      ]) {
        try {
          send();
        } catch (thrown) {
          error ??= thrown;
          continue;
        }
        error = undefined;
      }
      exchange.breakOff();
    });
    using connection = new RawConnection(endpoint).send("GET /to/a HTTP/1.1\r\nhost: x\r\n\r\n");
    await eventually(() => connection.closed, "the end");
    expect(connection.text).toBe("");
    expect(error).toBeInstanceOf(TypeError);
    const client = createHttp1Client({ connect: () => net.connect(1) });
    const request = { method: "GET", target: "/", host: "x", headers: {}, body: new Uint8Array() };
    const reader = { information() {}, responded() {}, failed() {} };
    for (const bad of [
      { ...request, headers: { a: value } },
      { ...request, headers: { [value]: "a" } },
      { ...request, target: `/${value}` },
      { ...request, method: value },
      { ...request, host: value },
    ]) {
      expect(() => client.send(bad, reader)).toThrow(TypeError);
    }
    client.destroy();
  });

  test("a body in chunks with trailers, or of the length that was told; and one that is not whole ends the connection", async () => {
    const { endpoint } = await start((exchange) => {
      const length = exchange.url === "/to/chunked" ? {} : { "content-length": "6" };
      const body = exchange.begin(200, length);
      body.write("abc");
      if (exchange.url === "/to/short") exchange.finish({});
      else if (exchange.url === "/to/long") body.write("defg");
      else if (exchange.url === "/to/broken") setTimeout(() => exchange.breakOff(), 10);
      else {
        body.write("def");
        exchange.finish({ "x-sum": "6" });
      }
    });
    using connection = new RawConnection(endpoint);
    connection.send("GET /to/chunked HTTP/1.1\r\nhost: x\r\n\r\n");
    await eventually(() => connection.text.endsWith("3\r\nabc\r\n3\r\ndef\r\n0\r\nx-sum: 6\r\n\r\n"), "the chunks");
    connection.send("GET /to/sized HTTP/1.1\r\nhost: x\r\n\r\n");
    await eventually(() => connection.text.endsWith("\r\n\r\nabcdef"), "the body");
    for (const kind of ["short", "long", "broken"]) {
      using broken = new RawConnection(endpoint).send(`GET /to/${kind} HTTP/1.1\r\nhost: x\r\n\r\n`);
      await eventually(() => broken.closed, `the end of ${kind}`);
      expect(broken.text).not.toContain("def");
    }
  });

  test("waits for the client, and is given up with a client that takes nothing", async () => {
    let written = 0;
    let gone = false;
    const { endpoint } = await start(
      (exchange) => {
        exchange.onGone(() => {
          gone = true;
        });
        const endless = new Readable({
          read() {
            written += 16_384;
            this.push(Buffer.alloc(16_384));
          },
        });
        endless.pipe(exchange.begin(200, {}));
      },
      { limits: { writeTimeoutMs: 200 } },
    );
    using connection = new RawConnection(endpoint);
    connection.socket.once("data", () => connection.socket.pause());
    connection.send("GET /to/a HTTP/1.1\r\nhost: x\r\n\r\n");
    await eventually(() => gone, "that it is given up");
    expect(written).toBeLessThan(30_000_000);
  });
});

test("everybody who asks is told that the client is gone", async () => {
  let told = 0;
  const { endpoint, ways } = await start((exchange) => {
    exchange.onGone(() => told++);
    exchange.onGone(() => told++);
  });
  const connection = new RawConnection(endpoint).send("GET /to/a HTTP/1.1\r\nhost: x\r\n\r\n");
  await eventually(() => ways.length === 1, "that it is there");
  connection.socket.destroy();
  await eventually(() => told === 2, "that both are told");
});

/** A server that says what it is told to, request by request. */
async function startSaying(...answers: (string | ((socket: net.Socket) => void))[]) {
  const requests: string[] = [];
  let connections = 0;
  const server = net.createServer((socket) => {
    connections++;
    socket.on("error", () => {});
    socket.setEncoding("latin1").on("data", (chunk) => {
      requests.push(String(chunk));
      const said = answers.shift() ?? "";
      if (typeof said === "string") socket.write(said, "latin1");
      else said(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  const client = createHttp1Client({ connect: () => net.connect(port, "127.0.0.1") });
  onTestFinished(() => {
    client.destroy();
    server.close();
  });
  const ask = (method = "GET", body = "") =>
    new Promise<{ status: number; headers: IncomingHttpHeaders; body: string; kind: string; trailers: object }>(
      (resolve, reject) => {
        const request = { method, target: "/a?b", host: "x", headers: { "x-a": "1" }, body: Buffer.from(body) };
        client.send(request, {
          information() {},
          responded({ status, headers, body: content, trailers }) {
            if (content instanceof Readable) {
              content.once("error", reject);
              text(content).then(
                (all) => resolve({ status, headers, body: all, kind: "stream", trailers: trailers() }),
                reject,
              );
            } else {
              const all = Buffer.from(content).toString("latin1");
              resolve({ status, headers, body: all, kind: "whole", trailers: trailers() });
            }
          },
          failed: (error, loss) => reject(Object.assign(error, { loss })),
        });
      },
    );
  return { ask, requests, client, connections: () => connections };
}

const ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

describe("a client for whole requests", () => {
  test("keeps its connection, and reads each kind of answer", async () => {
    const { ask, requests, connections, client } = await startSaying(
      ok,
      "HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 200 OK\r\nset-cookie: a\r\nset-cookie: b\r\nvary: a\r\nvary: b\r\ncontent-length: 1\r\n\r\n.",
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 3\r\n\r\n",
      "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n",
      "HTTP/1.1 204 No Content\r\n\r\n",
      `HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n${"x".repeat(100_000)}`,
      "HTTP/1.1 200 OK\r\n\r\nuntil the end",
    );
    expect(await ask("POST", "abc")).toMatchObject({ kind: "whole", body: "ok" });
    expect(requests[0]).toBe("POST /a?b HTTP/1.1\r\nhost: x\r\nx-a: 1\r\ncontent-length: 3\r\n\r\nabc");
    expect(await ask()).toMatchObject({ headers: { "set-cookie": ["a", "b"], vary: "a, b" }, body: "." });
    expect(await ask()).toMatchObject({ kind: "stream", body: "abc", trailers: { "x-sum": "3" } });
    expect(await ask("HEAD")).toMatchObject({ kind: "whole", headers: { "content-length": "500" }, body: "" });
    expect(await ask()).toMatchObject({ status: 204, body: "" });
    expect((await ask()).body.length).toBe(100_000);
    expect(connections()).toBe(1);
    expect(client.size).toBe(1);
  });

  test("gives up a connection that says what nobody asked for, and one that says close", async () => {
    const { ask, connections } = await startSaying(
      `${ok}more`,
      ok.replace("content", "connection: close\r\ncontent"),
      ok,
    );
    for (let index = 0; index < 3; index++) expect((await ask()).body).toBe("ok");
    expect(connections()).toBe(3);
  });

  test.each([
    ["a length and chunks", "content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"],
    ["two lengths", "content-length: 2\r\ncontent-length: 2\r\n\r\nok"],
    ["a list of lengths", "content-length: 2, 2\r\n\r\nok"],
    ["another coding", "transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"],
    ["chunks twice", "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"],
    ["a folded line", "x: a\r\n b\r\ncontent-length: 2\r\n\r\nok"],
    ["a bare line feed", "x: a\nb: c\r\ncontent-length: 2\r\n\r\nok"],
    ["a NUL", "x: a\0\r\ncontent-length: 2\r\n\r\nok"],
    ["a size that is none", "transfer-encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n"],
    ["a chunk that is too long", "transfer-encoding: chunked\r\n\r\n1\r\nxyz\r\n0\r\n\r\n"],
    ["a head without end", `x: ${"x".repeat(100_000)}`],
  ])("fails on %s", async (_what, rest) => {
    const { ask } = await startSaying(`HTTP/1.1 200 OK\r\n${rest}`);
    await expect(Promise.race([ask(), new Promise((resolve) => setTimeout(resolve, 1000, "hangs"))])).rejects.toThrow();
  });

  test("sends again what met the end of a kept connection, if it may be done twice, and nothing else", async () => {
    const end = (socket: net.Socket) => void socket.destroy();
    const { ask, requests } = await startSaying(ok, end, ok, end, ok, end);
    expect((await ask()).body).toBe("ok");
    expect((await ask()).body).toBe("ok");
    await expect(ask("POST", "x")).rejects.toMatchObject({ loss: { reused: true, answered: false } });
    expect((await ask()).body).toBe("ok");
    expect(requests.length).toBe(5);
    // A connection that is new is not stale.
    const fresh = await startSaying(end, ok);
    await expect(fresh.ask()).rejects.toMatchObject({ loss: { reused: false } });
  });

  test("tells that nothing was sent where nobody listens", async () => {
    const client = createHttp1Client({ connect: () => net.connect(1, "127.0.0.1") });
    const loss = await new Promise((resolve) => {
      const request = { method: "GET", target: "/", host: "x", headers: {}, body: new Uint8Array() };
      client.send(request, { information() {}, responded() {}, failed: (error, lost) => resolve([error, lost]) });
    });
    expect(loss).toMatchObject([{ code: "ECONNREFUSED" }, { connected: false }]);
    await client.retire();
  });
});
