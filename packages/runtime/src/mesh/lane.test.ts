import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { Agent, type IncomingMessage, type RequestListener, request } from "node:http";
import { createSecureServer } from "node:http2";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { buffer } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { issueCredentials, mutualTls, openAuthority } from "@mecha/identity";
import { expect, onTestFinished, test } from "vitest";
import { until } from "../../test/helpers.js";
import { openRaw, type RunningRuntime, startPair } from "../../test/mesh.js";

/** Counts what Node's own HTTP does. */
function countNode() {
  const counts = { served: 0, sent: 0, streams: 0 };
  const channels = {
    "http.server.request.start": () => counts.served++,
    "http.client.request.start": () => counts.sent++,
    "http2.client.stream.created": () => counts.streams++,
  };
  for (const [name, count] of Object.entries(channels)) subscribe(name, count);
  onTestFinished(() => {
    for (const [name, count] of Object.entries(channels)) unsubscribe(name, count);
  });
  return {
    /** What has been counted since it was asked the last time. */
    take() {
      const taken = { ...counts };
      Object.assign(counts, { served: 0, sent: 0, streams: 0 });
      return taken;
    },
  };
}

/** Only the app is served by Node, and nothing else goes through it. */
const byLane = { served: 1, sent: 0, streams: 0 };
const byNode = { served: 2, sent: 1, streams: 1 };

interface Said {
  readonly status: string;
  readonly headers: string[];
  readonly body: string;
}

/** Takes one whole answer off what came; undefined if it is not there. */
function takeAnswer(text: string, isHead = false): { said: Said; rest: string } | undefined {
  const end = text.indexOf("\r\n\r\n");
  if (end === -1) return undefined;
  const [status = "", ...lines] = text.slice(0, end).split("\r\n");
  const headers = lines.map((line) => line.replace(/^[^:]+/, (name) => name.toLowerCase()));
  let rest = text.slice(end + 4);
  const length = headers.find((line) => line.startsWith("content-length:"))?.slice(15);
  const done = (body: string) => {
    const kept = headers.filter((line) => !/^(date|connection|keep-alive):/.test(line)).sort();
    return { said: { status, headers: kept, body }, rest };
  };
  if (isHead || / (204|304) /.test(status)) return done("");
  if (length !== undefined) {
    if (rest.length < Number(length)) return undefined;
    const body = rest.slice(0, Number(length));
    rest = rest.slice(Number(length));
    return done(body);
  }
  let body = "";
  for (;;) {
    const lineEnd = rest.indexOf("\r\n");
    const size = Number.parseInt(rest, 16);
    if (lineEnd === -1 || rest.length < lineEnd + 4 + size) return undefined;
    body += rest.slice(lineEnd + 2, lineEnd + 2 + size);
    if (size === 0) {
      const last = rest.slice(lineEnd + 2);
      const lastEnd = last.startsWith("\r\n") ? 2 : last.indexOf("\r\n\r\n") + 4;
      if (lastEnd === 3) return undefined;
      rest = last.slice(lastEnd);
      return done(body + last.slice(0, lastEnd));
    }
    rest = rest.slice(lineEnd + 4 + size);
  }
}

/** A connection to a runtime on which one request follows the other. */
function openTalk(runtime: RunningRuntime) {
  const { socket, text, closed } = openRaw(runtime);
  let taken = 0;
  return {
    closed,
    async ask(head: string, body = ""): Promise<Said> {
      socket.write(`${head}\r\n\r\n${body}`, "latin1");
      let found: ReturnType<typeof takeAnswer>;
      await until(
        () => {
          found = takeAnswer(text().slice(taken), head.startsWith("HEAD"));
          return found !== undefined;
        },
        `an answer to ${head.split("\r\n")[0]}, after ${JSON.stringify(text().slice(taken, taken + 200))}`,
      );
      if (found === undefined) throw new Error("there is none");
      taken = text().length - found.rest.length;
      return found.said;
    },
  };
}

const echo: RequestListener = (incoming, response) => {
  buffer(incoming).then(
    (body) => {
      const { method, url, headers } = incoming;
      const { "x-twice": _, host: __, traceparent: ___, ...rest } = headers;
      response.setHeader("x-seen", JSON.stringify([method, url, ...Object.entries(rest).map(String).sort()]));
      response.setHeader("set-cookie", ["a=1", "b=2"]);
      const [, kind] = /[?&]answer=([\w-]+)/.exec(url ?? "") ?? [];
      switch (kind) {
        case "chunked":
          response.write("one,");
          response.write(body);
          response.end(",two");
          break;
        case "trailers":
          if (method === "HEAD") return void response.end();
          response.writeHead(200, { trailer: "x-sum" });
          response.write(body);
          response.addTrailers({ "x-sum": "3" });
          response.end();
          break;
        case "no-content":
          response.writeHead(204).end();
          break;
        case "not-modified":
          response.writeHead(304, { etag: '"a"' }).end();
          break;
        case "error":
          response.writeHead(500, "Odd", { "content-type": "text/plain", "x-list": ["a", "b"] }).end("no");
          break;
        case "empty":
          response.end();
          break;
        case "large":
          response.end("x".repeat(200_000));
          break;
        case "late-body":
          response.writeHead(200, { "content-length": "6" });
          response.write("abc");
          setTimeout(() => response.end("def"), 60);
          break;
        case "latin":
          response.setHeader("x-latin", "\xe4\xff");
          response.end("\xe4");
          break;
        default:
          response.end(body);
      }
    },
    () => {},
  );
};

/** So that there is a connection for small calls. */
async function warm(url: string): Promise<void> {
  const count = countNode();
  await until(async () => {
    count.take();
    await (await fetch(`${url}/warm`)).arrayBuffer();
    return count.take().streams === 0;
  }, "there is a lane");
}

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

test("an answer that breaks off is not taken for whole, however it comes", async () => {
  const { shop, url } = await startPair((incoming, response) => {
    if (incoming.url === "/sized") response.writeHead(200, { "content-length": "100" });
    if (incoming.url === "/nothing") return void incoming.socket.destroy();
    response.write("half");
    setTimeout(() => incoming.socket.destroy(), incoming.url === "/late" ? 60 : 5);
  });
  await warm(url).catch(() => {});
  for (const path of ["/sized", "/chunked", "/late"]) {
    const { socket, text, closed } = openRaw(shop);
    socket.write(`GET /invoke/orders${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
    await closed;
    expect([path, takeAnswer(text())]).toEqual([path, undefined]);
    expect(text()).toMatch(/^HTTP\/1.1 200 OK[\s\S]*half/);
  }
  const refused = await openTalk(shop).ask(
    "POST /invoke/orders/nothing HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1",
    "x",
  );
  expect([refused.status, refused.body]).toEqual([
    "HTTP/1.1 503 Service Unavailable",
    expect.stringContaining("broke the call off before it answered"),
  ]);
});

test("a runtime that stops lets the call at hand end, and takes no other", async () => {
  const held = Promise.withResolvers<void>();
  let begun = false;
  const { url, orders, shop } = await startPair((incoming, response) => {
    if (incoming.url !== "/held") return void response.end("done");
    begun = true;
    void held.promise.then(() => response.end("in the end"));
  });
  await warm(url);
  const open = openTalk(shop).ask("GET /invoke/orders/held HTTP/1.1\r\nhost: localhost");
  await until(() => begun, "it has begun");
  const closed = orders.close();
  await until(async () => (await fetch(`${url}/x`)).status === 503, "it is gone for others");
  held.resolve();
  expect((await open).body).toBe("in the end");
  await closed;
});

test("no call fails that meets the end of an idle connection, while another instance is there", async () => {
  const { url, orders } = await startPair((_incoming, response) => response.end("done"));
  await warm(url);
  let calls = 0;
  let isOver = false;
  const callers = Array.from({ length: 8 }, async () => {
    const failures: number[] = [];
    while (!isOver) {
      const response = await fetch(`${url}/x`);
      calls++;
      const text = await response.text();
      if (response.status !== 200 && !/has no instance|took the call/.test(text)) failures.push(response.status);
    }
    return failures;
  });
  await sleep(300);
  await orders.close();
  isOver = true;
  expect((await Promise.all(callers)).flat()).toEqual([]);
  expect(calls).toBeGreaterThan(50);
});

/** Where "orders" is, in the database that runtimes find one another by. */
function moveOrders(dataDir: string, toAddress?: string): string {
  const db = new DatabaseSync(join(dataDir, "mecha.db"));
  const row = db.prepare("SELECT address FROM discovery_instance WHERE app = 'orders'").get();
  if (toAddress !== undefined) db.prepare("UPDATE discovery_instance SET address = ?").run(toAddress);
  db.close();
  return String(row?.address);
}

async function listening(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test("when the other runtime is killed its calls break off at once, and later ones go where it is then", async () => {
  const { dataDir, url, shop } = await startPair((incoming, response) => {
    if (incoming.url === "/half") response.write("half");
    else if (incoming.url !== "/never") response.end("done");
  });
  const [host = "", port = ""] = moveOrders(dataDir).split(":");
  // What is killed closes all its connections, whatever is under way on them.
  const open = new Set<Socket>();
  const way = createServer((socket) => {
    const onward = connect(Number(port), host);
    open.add(socket).add(onward);
    for (const end of [socket, onward]) end.on("error", () => {});
    socket.pipe(onward).pipe(socket);
  });
  moveOrders(dataDir, await listening(way));
  await until(async () => (await (await fetch(`${url}/x`)).text()) === "done" && open.size > 0, "calls go that way");
  await warm(url);
  const half = openRaw(shop);
  half.socket.write("GET /invoke/orders/half HTTP/1.1\r\nhost: localhost\r\n\r\n");
  const never = openTalk(shop).ask("POST /invoke/orders/never HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1", "x");
  await until(() => half.text().includes("half"), "an answer has begun");
  await sleep(50);
  for (const socket of open) socket.resetAndDestroy();
  await half.closed;
  expect(takeAnswer(half.text())).toBeUndefined();
  expect(await never).toMatchObject({
    status: "HTTP/1.1 503 Service Unavailable",
    body: expect.stringContaining("it may have reached the app"),
  });
  await until(async () => (await fetch(`${url}/x`)).status === 200, "calls go on");
});

test("a runtime that has only HTTP/2 is called over that", async () => {
  const { dataDir, url } = await startPair((_incoming, response) => response.end());
  const authority = openAuthority(dataDir, "mecha.internal", Date.now());
  const id = { trustDomain: "mecha.internal", namespace: "default", appId: "orders" };
  const older = createSecureServer({
    ...mutualTls(issueCredentials(authority, id, Date.now())),
    ALPNProtocols: ["h2"],
  });
  older.on("stream", (stream) => stream.respond({ ":status": 200 }) ?? stream.end("of old"));
  moveOrders(dataDir, await listening(older));
  await until(async () => (await (await fetch(`${url}/x`)).text()) === "of old", "it is found");
  for (let index = 0; index < 20; index++) expect(await (await fetch(`${url}/x`)).text()).toBe("of old");
});

test("a large answer waits for a slow reader, and nobody keeps it meanwhile", async () => {
  const chunk = Buffer.alloc(64 * 1024, "x");
  const total = 1000;
  let written = 0;
  const { url, shop } = await startPair(async (incoming, response) => {
    if (incoming.url !== "/huge") return void response.end();
    for (; written < total; written++) if (!response.write(chunk)) await once(response, "drain");
    response.end();
  });
  await warm(url);
  const count = countNode();
  const { socket } = openRaw(shop);
  let received = 0;
  socket.on("data", (part) => {
    received += part.length;
  });
  socket.once("data", () => socket.pause());
  socket.write("GET /invoke/orders/huge HTTP/1.1\r\nhost: localhost\r\n\r\n");
  await until(() => written > 10, "it has begun");
  let before = -1;
  await until(async () => {
    const isStill = before === written;
    before = written;
    await sleep(100);
    return isStill;
  }, "the app waits");
  // What kernels keep for three connections.
  expect(written).toBeLessThan(500);
  socket.resume();
  while (received <= total * chunk.length) await once(socket, "data");
  expect(count.take()).toEqual(byLane);
}, 60_000);

test("ten thousand calls, many of which are given up, leave nothing behind", async () => {
  const { url, shop } = await startPair(({ url: path }, response) => {
    if (path === "/slow") setTimeout(() => response.end("slow"), 5);
    else if (path === "/stream") {
      response.write("x");
      setTimeout(() => response.end("y"), 3);
    } else response.end("quick");
  });
  await warm(url);
  const agent = new Agent({ keepAlive: true, maxSockets: 40 });
  onTestFinished(() => agent.destroy());
  const handles = () => process.getActiveResourcesInfo().filter((kind) => /TCP|TLS|Timeout/.test(kind)).length;
  const before = handles();
  const paths = ["/quick", "/quick", "/quick", "/slow", "/stream"];
  const one = (index: number) =>
    new Promise<void>((resolve) => {
      const sent = request(`${url}${paths[index % paths.length]}`, { agent }, (response: IncomingMessage) => {
        if (index % 11 === 0) sent.destroy();
        response.resume().once("close", resolve);
      });
      sent.on("error", () => resolve());
      sent.end();
      if (index % 7 === 0) setTimeout(() => sent.destroy(), index % 4);
    });
  let next = 0;
  await Promise.all(
    Array.from({ length: 40 }, async () => {
      while (next < 10_000) await one(next++);
    }),
  );
  agent.destroy();
  const inFlight = async () => {
    const metrics = await (await fetch(`${shop.endpoint}/metrics`)).text();
    return [...metrics.matchAll(/^mecha_app_calls_in_flight\{[^}]*\} (\d+)/gm)].map(([, value]) => value);
  };
  await until(async () => (await inFlight()).every((value) => value === "0"), "no call is under way");
  // Connections that are kept, and no more: at most 32 of the lane and those to the app, both ends of each are in this process.
  await until(() => handles() - before < 4 * 40, `connections are let go`);
  expect(await (await fetch(`${url}/quick`)).text()).toBe("quick");
}, 120_000);
