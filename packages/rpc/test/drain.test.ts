import * as http2 from "node:http2";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { createTransport, serve } from "../src/index.js";
import { type EchoLog, echoRoutes } from "./echo-service.js";
import { eventually } from "./eventually.js";
import { EchoService } from "./gen/echo_pb.js";
import { RawConnection } from "./raw-http1.js";

const protocols = ["connect", "grpc", "grpc-web"] as const;

describe("drain", () => {
  test("closes idle connections at once and refuses new ones", async () => {
    const server = await serve({ routes: echoRoutes() });
    using silent = new RawConnection(server.endpoint);
    await eventually(() => !silent.socket.connecting, "the connection");
    const session = http2.connect(server.endpoint);
    let goaway = false;
    session.on("goaway", () => {
      goaway = true;
    });
    await new Promise((resolve) => session.once("remoteSettings", resolve));
    await using transport = createTransport({ endpoint: server.endpoint });
    const client = createClient(EchoService, transport);
    await client.echo({});
    const start = performance.now();
    await server.close();
    expect(performance.now() - start).toBeLessThan(1000);
    expect(goaway).toBe(true);
    await eventually(() => silent.closed, "the end of the silent connection");
    await expect(client.echo({}).catch((reason: unknown) => ConnectError.from(reason).code)).resolves.toBe(
      Code.Unavailable,
    );
  });

  test.each(protocols)("lets what is in flight finish (%s)", async (protocol) => {
    const release: (() => void)[] = [];
    const server = await serve({
      routes: (router) =>
        router.service(EchoService, {
          echo: (request) => new Promise((resolve) => release.push(() => resolve({ text: request.text }))),
        }),
    });
    await using transport = createTransport({ endpoint: server.endpoint, protocol });
    const answer = createClient(EchoService, transport).echo({ text: "late" });
    await eventually(() => release.length === 1, "the handler's start");
    let closed = false;
    const closing = server.close().then(() => {
      closed = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(closed).toBe(false);
    release[0]?.();
    expect(await answer).toMatchObject({ text: "late" });
    await closing;
  });

  test.each(protocols)("cancels what is not finished at the deadline (%s)", async (protocol) => {
    const log: EchoLog = { waiting: [] };
    const server = await serve({ routes: echoRoutes(log) });
    await using transport = createTransport({ endpoint: server.endpoint, protocol });
    const answer = createClient(EchoService, transport)
      .echo({ behaviour: "wait" })
      .catch((reason: unknown) => ConnectError.from(reason));
    await eventually(() => log.waiting.length === 1, "the handler's start");
    await server.close({ deadlineMs: 50 });
    expect(log.waiting[0]?.aborted).toBe(true);
    expect(await answer).toMatchObject({ code: Code.Unavailable });
  });

  test("a handler that ignores its signal does not keep the server", async () => {
    let started = false;
    const server = await serve({
      routes: (router) =>
        router.service(EchoService, {
          echo: () => {
            started = true;
            return new Promise(() => {});
          },
        }),
    });
    await using transport = createTransport({ endpoint: server.endpoint });
    const answer = createClient(EchoService, transport)
      .echo({})
      .catch((reason: unknown) => ConnectError.from(reason));
    await eventually(() => started, "the handler's start");
    await server.close({ deadlineMs: 50 });
    expect(await answer).toMatchObject({ code: Code.Unavailable });
  });
});
