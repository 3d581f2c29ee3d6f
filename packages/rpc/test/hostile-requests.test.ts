import type { Duplex } from "node:stream";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { serve } from "../src/index.js";
import { echoRoutes } from "./echo-service.js";
import { eventually } from "./eventually.js";
import { expectServing, json, path, start } from "./protected-server.js";
import { RawConnection } from "./raw-http1.js";

test("a Host that makes no URL does not end the server, whichever way the request is served", async () => {
  await using server = await start({});
  for (const type of ["application/grpc-web+proto", "application/json"]) {
    for (let again = 0; again < 2; again++) {
      using connection = new RawConnection(server.endpoint);
      connection.send(`POST ${path} HTTP/1.1\r\nhost: ^ "\r\ncontent-type: ${type}\r\ncontent-length: 2\r\n\r\n{}`);
      await eventually(() => connection.text !== "", "an answer");
      expect(connection.text).toMatch(type === "application/json" ? /^HTTP\/1.1 200/ : /^HTTP\/1.1 400/);
    }
  }
  await expectServing(server);
});

test("a request with several Hosts is refused, whichever way it would be served", async () => {
  await using server = await serve({
    routes: echoRoutes(),
    fallback: (_request, response) => void response.end("served"),
  });
  const posted = `${json.replace("host: x", "host: x\r\nHost: y")}content-length: 2\r\n\r\n{}`;
  const upgrade = "GET /ws HTTP/1.1\r\nhost: x\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
  for (const request of ["GET /page HTTP/1.1\r\nhost: x\r\nHOST: y\r\n\r\n", posted, upgrade]) {
    using connection = new RawConnection(server.endpoint).send(request);
    await eventually(() => connection.text.includes("several Host headers"), "the refusal");
    expect(connection.text).toMatch(/^HTTP\/1.1 400/);
  }
  using single = new RawConnection(server.endpoint).send("GET /page HTTP/1.1\r\nhost: x\r\n\r\n");
  await eventually(() => single.text.includes("served"), "what one Host is answered");
});

test("a reset in the midst of an upgrade, granted, refused or not answered yet, ends nothing else", async () => {
  const taken: Duplex[] = [];
  await using server = await serve({
    routes: echoRoutes(),
    guard: ({ url }) => (url === "/ws/refused" ? new ConnectError("no", Code.PermissionDenied) : undefined),
    proxy: {
      takes: (url) => url.startsWith("/ws"),
      handle: () => {},
      upgrade: (_request, socket) => void taken.push(socket),
    },
  });
  const ask = (url: string) =>
    new RawConnection(server.endpoint).send(
      `GET ${url} HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n`,
    );
  const refused = ask("/ws/refused");
  // Uncaught, an error of either fails the test's process.
  refused.socket.once("data", () => refused.socket.resetAndDestroy());
  const waiting = ask("/ws");
  await eventually(() => taken.length > 0 && refused.closed, "both are there");
  waiting.socket.resetAndDestroy();
  await eventually(() => taken[0]?.destroyed === true, "the server sees the reset");
  await expectServing(server);
});

test("JSON keys that reach for prototypes change nothing", async () => {
  await using server = await start({});
  const body = `{"text":"a","__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},"labels":{"__proto__":"x","constructor":"y"}}`;
  const response = await fetch(server.endpoint + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
  });
  expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  expect(Object.getPrototypeOf({})).toBe(Object.prototype);
  expect([200, 400]).toContain(response.status);
  await expectServing(server);
});
