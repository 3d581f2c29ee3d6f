import { spawn } from "node:child_process";
import * as net from "node:net";
import { fileURLToPath } from "node:url";
import { Code, ConnectError, type ConnectRouter, createClient, type Interceptor } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { createInProcessTransport, createTransport, type RpcServer, serve } from "../src/index.js";
import { echoRoutes } from "./echo-service.js";
import { eventually } from "./eventually.js";
import { EchoService } from "./gen/echo_pb.js";

const codeOf = (reason: unknown): Code => ConnectError.from(reason).code;

/** Handlers that answer when a test says so. */
function held(): { routes: (router: ConnectRouter) => void; waiting: (() => void)[] } {
  const waiting: (() => void)[] = [];
  const routes = (router: ConnectRouter) =>
    router.service(EchoService, {
      echo: (request) => new Promise((resolve) => waiting.push(() => resolve({ text: request.text }))),
    });
  return { routes, waiting };
}

async function restart(server: RpcServer): Promise<RpcServer> {
  await server.close({ deadlineMs: 0 });
  return serve({ routes: echoRoutes(), listen: { port: Number(new URL(server.endpoint).port) } });
}

describe.each(["connect", "grpc"] as const)("a %s client", (protocol) => {
  test("reaches a server that was restarted, and says UNAVAILABLE while it is away", async () => {
    let server = await serve({ routes: echoRoutes() });
    await using transport = createTransport({ endpoint: server.endpoint, protocol });
    const client = createClient(EchoService, transport);
    await client.echo({ text: "before" });
    await server.close();
    await expect(client.echo({}).catch(codeOf)).resolves.toBe(Code.Unavailable);
    server = await restart(server);
    await eventually(
      () =>
        client.echo({ text: "after" }).then(
          ({ text }) => text === "after",
          () => false,
        ),
      "the answer",
    );
    await server.close();
  });

  test("a call whose server dies under it is UNAVAILABLE, and says that it may have been carried out", async () => {
    const { routes, waiting } = held();
    const server = await serve({ routes });
    await using transport = createTransport({ endpoint: server.endpoint, protocol });
    const answer = createClient(EchoService, transport)
      .echo({})
      .catch((reason: unknown) => ConnectError.from(reason));
    await eventually(() => waiting.length === 1, "the call");
    await server.close({ deadlineMs: 0 });
    expect(await answer).toMatchObject({ code: Code.Unavailable });
  });

  test("a server that is not there is UNAVAILABLE and named", async () => {
    await using transport = createTransport({ endpoint: "http://127.0.0.1:1", protocol });
    const error = await createClient(EchoService, transport)
      .echo({})
      .catch((reason: unknown) => ConnectError.from(reason));
    expect(error).toMatchObject({ code: Code.Unavailable, rawMessage: "cannot connect to 127.0.0.1:1: ECONNREFUSED" });
  });

  test("more calls than connections and streams wait, a bounded number of them", async () => {
    const { routes, waiting } = held();
    await using server = await serve({ routes, limits: { maxStreamsPerConnection: 2 } });
    await using transport = createTransport({
      endpoint: server.endpoint,
      protocol,
      maxConnections: 2,
      maxQueuedCalls: 3,
    });
    const client = createClient(EchoService, transport);
    await using warm = createTransport({ endpoint: server.endpoint, protocol });
    void createClient(EchoService, warm)
      .echo({ text: "other" })
      .catch(() => {});
    await eventually(() => waiting.length === 1, "the other client's call");
    const results = Array.from({ length: 40 }, (_, index) => client.echo({ text: String(index) }).catch(codeOf));
    const refused = (await Promise.all(results.map((result) => Promise.race([result, tick()])))).filter(
      (result) => result === Code.ResourceExhausted,
    );
    expect(refused.length).toBeGreaterThan(0);
    const release = setInterval(() => {
      for (const answer of waiting.splice(0)) answer();
    }, 5);
    const all = await Promise.all(results);
    clearInterval(release);
    const answered = all.filter((result) => typeof result === "object");
    expect(answered.length).toBeGreaterThanOrEqual(3);
    expect(answered.length + all.filter((result) => result === Code.ResourceExhausted).length).toBe(40);
  });

  test("a canceled call in the queue never reaches the server", async () => {
    const { routes, waiting } = held();
    await using server = await serve({ routes, limits: { maxStreamsPerConnection: 1 } });
    await using transport = createTransport({ endpoint: server.endpoint, protocol: "connect", maxConnections: 1 });
    const client = createClient(EchoService, transport);
    const first = client.echo({ text: "first" });
    const abort = new AbortController();
    const second = client.echo({ text: "second" }, { signal: abort.signal }).catch(codeOf);
    await eventually(() => waiting.length === 1, "the first call");
    abort.abort();
    expect(await second).toBe(Code.Canceled);
    waiting[0]?.();
    await first;
    expect(waiting.length).toBe(1);
  });

  test("closing the transport ends its calls", async () => {
    const { routes, waiting } = held();
    await using server = await serve({ routes });
    const transport = createTransport({ endpoint: server.endpoint, protocol });
    const client = createClient(EchoService, transport);
    const answer = client.echo({}).catch(codeOf);
    await eventually(() => waiting.length === 1, "the call");
    await transport.close();
    expect(await answer).toBe(Code.Canceled);
    await expect(client.echo({}).catch(codeOf)).resolves.toBe(Code.Canceled);
    await server.close({ deadlineMs: 0 });
  });

  test("interceptors of both sides see the call and change it", async () => {
    const seen: string[] = [];
    const interceptor =
      (name: string): Interceptor =>
      (next) =>
      async (request) => {
        seen.push(
          `${name} ${request.method.name} ${new URL(request.url).pathname} ${request.header.get("send-header")}`,
        );
        request.header.set("send-header", `${request.header.get("send-header") ?? ""}${name}`);
        const response = await next({ ...request });
        response.trailer.set(`from-${name}`, "yes");
        return { ...response };
      };
    await using server = await serve({ routes: echoRoutes(), interceptors: [interceptor("c"), interceptor("d")] });
    await using transport = createTransport({
      endpoint: server.endpoint,
      protocol,
      interceptors: [interceptor("a"), interceptor("b")],
    });
    const client = createClient(EchoService, transport);
    let header: string | null = null;
    let trailer = new Headers();
    const options = {
      onHeader: (received: Headers) => {
        header = received.get("echo-header");
      },
      onTrailer: (received: Headers) => {
        trailer = received;
      },
    };
    await client.echo({ behaviour: "metadata" }, options);
    expect(header).toBe("abcd");
    expect(seen.map((line) => line[0])).toEqual(["a", "b", "c", "d"]);
    expect([..."abcd"].map((name) => trailer.get(`from-${name}`))).toEqual(["yes", "yes", "yes", "yes"]);
    for await (const _ of client.count({ behaviour: "metadata", count: 1 }, options));
    expect(header).toBe("abcd");
  });
});

test("a process whose calls are done ends, although its connections are open", async () => {
  await using server = await serve({ routes: echoRoutes() });
  const built = fileURLToPath(new URL("../dist/index.js", import.meta.url));
  const program = `
    import { createTransport } from ${JSON.stringify(built)};
    const schema = { typeName: "x", fields: [], kind: "message", members: [], oneofs: [] };
    for (const protocol of ["connect", "grpc"]) {
      const transport = createTransport({ endpoint: ${JSON.stringify(server.endpoint)}, protocol });
      const method = { name: "None", parent: { typeName: "x.Service" }, input: schema, output: schema, methodKind: "unary", idempotency: 0 };
      await transport.unary(method, undefined, undefined, undefined, { $typeName: "x" }).catch((error) => console.log(error.code));
    }`;
  const started = performance.now();
  // Asynchronous on purpose: the server is in this process.
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  const status = await new Promise((resolve) => child.once("exit", resolve));
  expect(output.trim().split("\n")).toEqual([String(Code.Unimplemented), String(Code.Unimplemented)]);
  expect(status).toBe(0);
  expect(performance.now() - started).toBeLessThan(8000);
});

describe("an HTTP/1.1 server that misbehaves", () => {
  test.each([
    ["speaks another protocol", "SSH-2.0-OpenSSH\r\n\r\n", Code.Internal],
    [
      "closes in the middle",
      "HTTP/1.1 200 OK\r\ncontent-type: application/proto\r\ncontent-length: 10\r\n\r\nabc",
      Code.Unavailable,
    ],
    ["sends two lengths", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", Code.Internal],
    [
      "answers with a page",
      "HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/html\r\ncontent-length: 4\r\n\r\n<p/>",
      Code.Unavailable,
    ],
  ])("%s", async (_name, answer, code) => {
    const server = net.createServer((socket) => {
      socket.once("data", () => socket.end(answer));
      socket.on("error", () => {});
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as net.AddressInfo;
    await using transport = createTransport({ endpoint: `http://127.0.0.1:${port}` });
    await expect(createClient(EchoService, transport).echo({}).catch(codeOf)).resolves.toBe(code);
    server.close();
  });
});

describe("in process", () => {
  test("a message that was handed over cannot be changed any more", async () => {
    let received: { labels: Record<string, string> } | undefined;
    const transport = createInProcessTransport((router) =>
      router.service(EchoService, {
        echo(request) {
          received = request;
          return { labels: request.labels };
        },
      }),
    );
    const client = createClient(EchoService, transport);
    const response = await client.echo({ labels: { a: "1" } });
    expect(() => {
      response.labels.a = "2";
    }).toThrow(TypeError);
    expect(() => {
      (received as { labels: Record<string, string> }).labels.a = "2";
    }).toThrow(TypeError);
  });

  test("server interceptors, context values and an unknown service", async () => {
    const interceptor: Interceptor = (next) => async (request) => {
      const response = await next(request);
      response.header.set("seen", request.header.get("who") ?? "");
      return response;
    };
    const transport = createInProcessTransport(echoRoutes(), { serverInterceptors: [interceptor] });
    let seen: string | null = null;
    await createClient(EchoService, transport).echo(
      {},
      {
        headers: { who: "me" },
        onHeader: (header) => {
          seen = header.get("seen");
        },
      },
    );
    expect(seen).toBe("me");
    const empty = createInProcessTransport(() => {});
    await expect(createClient(EchoService, empty).echo({}).catch(codeOf)).resolves.toBe(Code.Unimplemented);
  });

  test("a stream that its caller leaves ends its handler", async () => {
    let ended = false;
    const transport = createInProcessTransport((router) =>
      router.service(EchoService, {
        async *count(_request, context) {
          try {
            for (let count = 1; !context.signal.aborted; count++) yield { count };
          } finally {
            ended = true;
          }
        },
      }),
    );
    const abort = new AbortController();
    const answers = createClient(EchoService, transport).count({}, { signal: abort.signal })[Symbol.asyncIterator]();
    expect((await answers.next()).value).toMatchObject({ count: 1 });
    abort.abort();
    await eventually(() => ended, "the handler's end");
  });
});

function tick(): Promise<"waiting"> {
  return new Promise((resolve) => setTimeout(resolve, 50, "waiting"));
}
