import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import * as http from "node:http";
import type { ClientHttp2Stream } from "node:http2";
import { text } from "node:stream/consumers";
import { mutualTls } from "@mecha/identity";
import { expect, onTestFinished, test } from "vitest";
import { temporaryFolder, until } from "../../test/helpers.js";
import { findsApp, startApp, startMeshRuntime, startPair } from "../../test/mesh.js";
import { issue, openPeer } from "../../test/peer.js";
import { freePort, startWire } from "../../test/wire.js";
import type { ResourceObject } from "../index.js";

// Bodies, of requests and of answers, that end before their end.

test("what is left of a body whose answer came early is no request of its own", async () => {
  const seen: string[] = [];
  const { dataDir } = await startPair((request, response) => {
    seen.push(`${request.url} of ${request.headers["mecha-caller"]}`);
    // As whoever refuses a call without a look at its body.
    if (request.url === "/early") response.end("no");
    else request.resume().once("end", () => response.end("hello"));
  });
  const session = openPeer(dataDir, mutualTls(issue(dataDir, { appId: "billing" })));
  const size = 5_000;
  const head = { ":method": "POST", ":authority": "orders" };
  const early = session.request({ ...head, ":path": "/early", "content-length": `${size}` });
  early.on("error", () => {});
  early.write("x".repeat(100));
  expect(await text(early)).toBe("no");
  early.end("x".repeat(size - 100));
  if (!early.closed) await once(early, "close");
  // What the app's connection still has to do for the first request is done.
  expect(await text(session.request({ ":path": "/between", ":authority": "orders" }))).toBe("hello");
  const hidden = "GET /admin HTTP/1.1\r\nhost: x\r\nmecha-caller: boss\r\n\r\n";
  const body = "\r\n".repeat(size) + hidden;
  const next = session.request({ ...head, ":path": "/next", "content-length": `${body.length}` });
  next.end(body);
  expect(await text(next)).toBe("hello");
  const after = session.request({ ...head, ":path": "/after" });
  after.end("x");
  expect(await text(after)).toBe("hello");
  expect(seen).toEqual(["/early of billing", "/between of billing", "/next of billing", "/after of billing"]);
});

/** An app that says how the bodies of its requests ended. */
async function startReader() {
  const ends: string[] = [];
  let received = 0;
  const pair = await startPair((request, response) => {
    request.on("data", (chunk) => {
      received += chunk.length;
    });
    request.once("end", () => {
      ends.push("whole");
      response.end("ok");
    });
    request.once("aborted", () => ends.push("cut short"));
    request.on("error", () => {});
  });
  return { ...pair, ends, received: () => received };
}

test("an upload whose sender hangs up is cut short for the app", async () => {
  const { url, ends, received } = await startReader();
  const upload = http.request(`${url}/up`, { method: "POST", agent: false });
  upload.on("error", () => {});
  upload.write("x".repeat(100_000));
  await until(() => received() === 100_000, "the app has what was sent");
  upload.destroy();
  await until(() => ends.length > 0, "the app hears of the end");
  expect(ends).toEqual(["cut short"]);
});

test.each(["destroy", "end"] as const)("an upload over a session that is gone is cut short: %s", async (how) => {
  const { dataDir, ends, received } = await startReader();
  const session = openPeer(dataDir);
  session.on("error", () => {});
  const upload = session.request({ ":method": "POST", ":path": "/up", ":authority": "orders" });
  upload.on("error", () => {});
  upload.write("x".repeat(100_000));
  await until(() => received() === 100_000, "the app has what was sent");
  // Nothing is said of the stream: the connection ends.
  if (how === "destroy") session.destroy();
  else session.socket.destroySoon();
  await until(() => ends.length > 0, "the app hears of the end");
  expect(ends).toEqual(["cut short"]);
});

test.each(["end", "cut"] as const)("half an answer is not taken for a whole one: %s", async (how) => {
  const dataDir = temporaryFolder();
  const app = await startApp((request, response) => {
    if (request.url === "/begun") response.write("a".repeat(1000));
    else response.end("ok");
  });
  const port = await freePort();
  const wire = await startWire(port);
  await startMeshRuntime("orders", dataDir, {
    appPort: app.port,
    mesh: { port, advertise: `127.0.0.1:${wire.port}` },
  });
  const shop = await startMeshRuntime("shop", dataDir);
  await findsApp(shop, "orders");
  const answer = await fetch(`${shop.endpoint}/invoke/orders/begun`);
  const reader = answer.body?.getReader();
  expect((await reader?.read())?.value?.length).toBe(1000);
  wire[how]();
  await expect(reader?.read()).rejects.toThrow();
});

/** The streams between runtimes that are open. */
function watchStreams(): Set<ClientHttp2Stream> {
  const open = new Set<ClientHttp2Stream>();
  const onCreated = (message: unknown) => {
    const { stream } = message as { stream: ClientHttp2Stream };
    open.add(stream);
    stream.once("close", () => open.delete(stream));
  };
  subscribe("http2.client.stream.created", onCreated);
  onTestFinished(() => void unsubscribe("http2.client.stream.created", onCreated));
  return open;
}

const small: ResourceObject = {
  apiVersion: "mecha.dev/v1",
  kind: "Policy",
  metadata: { name: "small" },
  spec: { target: { app: "orders" }, request: { maxBytes: 1_000 } },
};

test.each([
  ["too large", 413],
  ["refused by the app's end", 503],
])("an upload that is %s keeps no stream open", async (why, status) => {
  const streams = watchStreams();
  const { url } = await startPair(
    (request) => {
      if (why === "too large") request.resume();
      else request.once("data", () => request.socket.destroy());
    },
    // The other one is small enough for the runtime, however late its end is seen.
    why === "too large" ? { orders: { resources: [small] } } : {},
  );
  const upload = http.request(`${url}/up`, { method: "POST", agent: false });
  upload.on("error", () => {});
  const answered = new Promise<number | undefined>((resolve) =>
    upload.once("response", (response) => resolve(response.resume().statusCode)),
  );
  upload.write("x".repeat(500));
  await until(() => streams.size > 0, "it is on its way");
  upload.write("x".repeat(5_000));
  expect(await answered).toBe(status);
  // Its sender has not ended it, and does not.
  await until(() => streams.size === 0, "no stream is open");
});
