import { expect, test } from "vitest";
import { until } from "../../test/helpers.js";
import { byLane, byNode, countNode, echo, openTalk, warm } from "../../test/lane.js";
import { openRaw, startPair } from "../../test/mesh.js";

test("small whole calls go without Node's HTTP all the way, and what is unusual goes through it", async () => {
  const { url, shop } = await startPair(echo);
  await warm(url);
  const count = countNode();
  const plain = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];
  for (const method of plain) {
    const body = method === "GET" || method === "HEAD" ? "" : "0123456789";
    const length = body === "" ? "" : `\r\ncontent-length: ${body.length}`;
    const talk = openTalk(shop);
    const said = await talk.ask(`${method} /invoke/orders/a?b HTTP/1.1\r\nhost: localhost${length}`, body);
    expect(said.status).toBe("HTTP/1.1 200 OK");
    expect([method, count.take()]).toEqual([method, byLane]);
  }
  const unusual: [string, string, string][] = [
    [
      "a chunked body",
      "POST /invoke/orders/a HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked",
      "1\r\nx\r\n0\r\n\r\n",
    ],
    ["a header that comes twice", "GET /invoke/orders/a HTTP/1.1\r\nhost: localhost\r\nx-a: 1\r\nx-a: 2", ""],
    ["another method", "OPTIONS /invoke/orders/a HTTP/1.1\r\nhost: localhost", ""],
    ["a large body", "POST /invoke/orders/a HTTP/1.1\r\nhost: localhost\r\ncontent-length: 70000", "x".repeat(70_000)],
    [
      "an expectation",
      "PUT /invoke/orders/a HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 0",
      "",
    ],
    ["a page's", "GET /invoke/orders/a HTTP/1.1\r\nhost: localhost\r\norigin: http://localhost", ""],
  ];
  for (const [what, head, body] of unusual) {
    const said = await openTalk(shop).ask(head, body);
    expect([what, said.status]).toEqual([what, "HTTP/1.1 200 OK"]);
    expect([what, count.take()]).toEqual([what, byNode]);
  }
});

test("answers, and what the app sees, are the same both ways", async () => {
  const { shop, url } = await startPair(echo);
  await warm(url);
  const answers = [
    "whole",
    "chunked",
    "trailers",
    "no-content",
    "not-modified",
    "error",
    "empty",
    "large",
    "late-body",
    "latin",
  ];
  const heads = [
    "GET /invoke/orders/a/b?answer=KIND HTTP/1.1\r\nhost: localhost",
    "HEAD /invoke/orders/a?answer=KIND HTTP/1.1\r\nhost: localhost\r\naccept: */*",
    "DELETE /invoke/orders//a/./b/../c?answer=KIND HTTP/1.1\r\nHost: localhost\r\nX-Odd:   a  b \r\nmecha-caller: admin\r\nte: trailers",
    "POST /invoke/orders/%61?x=%2f&answer=KIND HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ncookie: a=1; b=2\r\nconnection: keep-alive",
    "PUT /x?answer=KIND HTTP/1.1\r\nhost: localhost\r\nmecha-app: orders\r\ncontent-length: 0\r\nkeep-alive: timeout=3",
    "POST /invoke/nobody/?answer=KIND HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2",
    "POST /invoke/orders/a%2fb?answer=KIND HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2",
    "GET /invoke/orders/a?answer=KIND HTTP/1.1\r\nhost: localhost\r\nmecha-hops: 16",
  ];
  const [whole, twice] = [openTalk(shop), openTalk(shop)];
  for (const template of heads) {
    const body = "x".repeat(Number(/content-length: (\d+)/.exec(template)?.[1] ?? 0));
    for (const kind of answers) {
      const head = template.replace("KIND", kind);
      const one = await whole.ask(head, body);
      const other = await twice.ask(`${head}\r\nx-twice: 1\r\nx-twice: 2`, body);
      expect([head, one]).toEqual([head, other]);
    }
  }
}, 60_000);

test("calls to other apps, RPCs and what is neither share a connection", async () => {
  const { shop, url } = await startPair(echo);
  await warm(url);
  const talk = openTalk(shop);
  const call = () => talk.ask("POST /invoke/orders/a HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3", "abc");
  const rpc = () =>
    talk.ask(
      "POST /grpc.health.v1.Health/Check HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 2",
      "{}",
    );
  const rounds = 3;
  for (let round = 0; round < rounds; round++) {
    expect((await call()).body).toBe("abc");
    expect((await rpc()).body).toContain("SERVING");
    expect((await talk.ask("GET /invoke/orders/b HTTP/1.1\r\nhost: localhost")).status).toContain("200");
  }
  // From here on Node has it.
  for (let round = 0; round < rounds; round++) {
    expect((await talk.ask("GET /healthz HTTP/1.1\r\nhost: localhost")).status).toContain("200");
    expect((await call()).body).toBe("abc");
    expect((await rpc()).body).toContain("SERVING");
  }
});

test("several requests that come at once are answered in their order", async () => {
  const { shop, url } = await startPair((incoming, response) => {
    setTimeout(() => response.end(incoming.url), incoming.url === "/0" ? 50 : 0);
  });
  await warm(url);
  const { socket, text } = openRaw(shop);
  const paths = Array.from({ length: 20 }, (_, index) => `/${index}`);
  socket.write(paths.map((path) => `GET /invoke/orders${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`).join(""));
  await until(() => text().endsWith("/19"), "all are answered");
  expect([...text().matchAll(/\r\n\r\n(\/\d+)/g)].map(([, path]) => path)).toEqual(paths);
});

test("a body that comes slowly is passed on as it comes", async () => {
  const { shop, url } = await startPair((incoming, response) => {
    response.write("begun,");
    incoming.on("data", (chunk) => response.write(chunk)).on("end", () => response.end());
  });
  await warm(url);
  const { socket, text } = openRaw(shop);
  socket.write("POST /invoke/orders/a HTTP/1.1\r\nhost: localhost\r\ncontent-length: 6\r\n\r\nabc");
  await until(() => text().includes("abc"), "the app has the first half and answers");
  socket.write("def");
  await until(() => text().includes("def"), "and the second");
});

test("a request that comes byte by byte is one request", async () => {
  const { shop, url } = await startPair(echo);
  await warm(url);
  const { socket, text } = openRaw(shop);
  socket.setNoDelay(true);
  for (const byte of "POST /invoke/orders/a HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\n\r\nabc") {
    socket.write(byte);
    await new Promise(setImmediate);
  }
  await until(() => text().endsWith("abc"), "it is answered");
});
