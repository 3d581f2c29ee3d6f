import { once } from "node:events";
import { Agent, type IncomingMessage, request } from "node:http";
import { createSecureServer } from "node:http2";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { issueCredentials, mutualTls, openAuthority } from "@mecha/identity";
import { expect, onTestFinished, test } from "vitest";
import { until } from "../../test/helpers.js";
import { byLane, countNode, openTalk, takeAnswer, warm } from "../../test/lane.js";
import { openRaw, startPair } from "../../test/mesh.js";

// How calls end that end otherwise than well.

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
  await until(() => calls > 100, "calls are under way");
  await orders.close();
  const before = calls;
  await until(() => calls > before + 20, "calls come when it is gone");
  isOver = true;
  expect((await Promise.all(callers)).flat()).toEqual([]);
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
  let isAsked = false;
  const { dataDir, url, shop } = await startPair((incoming, response) => {
    if (incoming.url === "/half") response.write("half");
    else if (incoming.url === "/never") isAsked = true;
    else response.end("done");
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
  await until(() => half.text().includes("half") && isAsked, "one answer has begun, and one call has none yet");
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
