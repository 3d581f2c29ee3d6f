import { once } from "node:events";
import { connect } from "node:http2";
import { createConnection } from "node:net";
import { stateLimits } from "@mecha/component";
import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { callState, component, startRuntime } from "../../../test/helpers.js";

async function startDoor() {
  const { endpoint } = await startRuntime();
  const request = (method: string, path: string, headers: Record<string, string> = {}, body?: RequestInit["body"]) =>
    fetch(`${endpoint}/state/${path}`, { method, headers, ...(body === undefined ? {} : { body, duplex: "half" }) });
  return { endpoint, request };
}

describe("the plain-HTTP door of the state block", () => {
  it("keeps what was put, with its type and etag, also for the service", async () => {
    const { endpoint, request } = await startDoor();
    const put = await request("PUT", "orders/1", { "content-type": "application/json" }, '{"total":42}');
    expect(put.status).toBe(204);
    const got = await request("GET", "orders/1");
    expect(got.status).toBe(200);
    expect(got.headers.get("etag")).toBe(put.headers.get("etag"));
    expect(got.headers.get("content-type")).toBe("application/json");
    expect(await got.json()).toEqual({ total: 42 });
    const { json } = await callState(endpoint, "Get", { key: "orders/1" });
    expect(json).toMatchObject({ item: { contentType: "application/json" } });
  });

  it("tells an empty value from an absent one", async () => {
    const { request } = await startDoor();
    await request("PUT", "empty");
    const empty = await request("GET", "empty");
    expect([empty.status, (await empty.arrayBuffer()).byteLength]).toEqual([200, 0]);
    const absent = await request("GET", "absent");
    expect(absent.status).toBe(404);
    expect(await absent.json()).toMatchObject({ message: 'there is no item with key "absent"' });
  });

  it("decodes percent-encoded keys, and refuses what is no UTF-8", async () => {
    const { endpoint, request } = await startDoor();
    expect((await request("PUT", "a%20b%2F%C3%A9%3F?store=memory", {}, "x")).status).toBe(204);
    expect((await callState(endpoint, "Get", { key: "a b/é?" })).json).toMatchObject({ item: { key: "a b/é?" } });
    expect((await request("GET", "%ff")).status).toBe(400);
    expect((await request("GET", "")).status).toBe(400);
    expect((await request("GET", "a?store=nowhere")).status).toBe(404);
  });

  it("writes only if the etag matches, only if absent, or only if present", async () => {
    const { request } = await startDoor();
    expect((await request("PUT", "k", { "if-match": "*" }, "0")).status).toBe(412);
    const created = await request("PUT", "k", { "if-none-match": "*" }, "1");
    expect(created.status).toBe(204);
    expect((await request("PUT", "k", { "if-none-match": "*" }, "2")).status).toBe(412);
    const etag = created.headers.get("etag") ?? "";
    expect((await request("PUT", "k", { "if-match": etag }, "3")).status).toBe(204);
    const stale = await request("PUT", "k", { "if-match": etag }, "4");
    expect([stale.status, ((await stale.json()) as { code: string }).code]).toEqual([412, "aborted"]);
    expect((await request("DELETE", "k", { "if-match": etag })).status).toBe(412);
    expect(await (await request("GET", "k")).text()).toBe("3");
    expect((await request("DELETE", "k")).status).toBe(204);
    expect((await request("DELETE", "k")).status).toBe(204);
  });

  it("answers 304 to whoever has the item already, and 412 to whoever has another", async () => {
    const { request } = await startDoor();
    const etag = (await request("PUT", "k", {}, "x")).headers.get("etag") ?? "";
    const headers = { "if-none-match": `"other", W/${etag}` };
    const unchanged = await request("GET", "k", headers);
    expect([unchanged.status, await unchanged.text()]).toEqual([304, ""]);
    expect((await request("GET", "k", { "if-none-match": '"other"' })).status).toBe(200);
    expect((await request("GET", "k", { "if-match": '"other"' })).status).toBe(412);
    expect((await request("HEAD", "k")).headers.get("content-length")).toBe("1");
  });

  it.each([
    ["if-match", "no quotes"],
    ["if-match", '"a", "b"'],
    ["if-match", 'W/"a"'],
    ["if-none-match", '"a"'],
    ["mecha-ttl", "soon"],
    ["content-encoding", "gzip"],
  ])("refuses a write with %s: %s", async (header, value) => {
    const { request } = await startDoor();
    expect((await request("PUT", "k", { [header]: value }, "x")).status).toBe(400);
    expect((await request("GET", "k")).status).toBe(404);
  });

  it("takes a TTL", async () => {
    const { request } = await startDoor();
    await request("PUT", "k", { "mecha-ttl": "1.5h" }, "x");
    const expires = Date.parse((await request("GET", "k")).headers.get("mecha-expire-time") ?? "");
    expect(Math.abs(expires - Date.now() - 5_400_000)).toBeLessThan(10_000);
  });

  it("takes a value of exactly the limit, streamed, and refuses one byte more", async () => {
    const { request } = await startDoor();
    const { maxValueBytes } = stateLimits;
    const stream = (bytes: number) => new Blob([new Uint8Array(bytes)]).stream();
    expect((await request("PUT", "k", {}, stream(maxValueBytes))).status).toBe(204);
    for (const body of [stream(maxValueBytes + 1), new Uint8Array(maxValueBytes + 1)]) {
      const refused = await request("PUT", "k", {}, body);
      expect(refused.status).toBe(413);
      expect(await refused.text()).toContain(`"limit_bytes":"${maxValueBytes}"`);
    }
    expect((await (await request("GET", "k")).arrayBuffer()).byteLength).toBe(maxValueBytes);
  });

  it("never lets a stored page run, nor a stored type break the response", async () => {
    const { endpoint, request } = await startDoor();
    await request("PUT", "page", { "content-type": "text/html" }, "<script>alert(1)</script>");
    const { headers } = await request("GET", "page");
    expect(headers.get("content-security-policy")).toMatch(/sandbox/);
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    await callState(endpoint, "Set", { key: "odd", contentType: "text/plain\r\nset-cookie: a=b" });
    const odd = await request("GET", "odd");
    expect([odd.status, odd.headers.get("content-type")]).toEqual([200, "application/octet-stream"]);
  });

  it("answers other methods with those that there are", async () => {
    const { request } = await startDoor();
    const refused = await request("PATCH", "k");
    expect([refused.status, refused.headers.get("allow")]).toEqual([405, "GET, HEAD, PUT, DELETE"]);
  });

  it.each(["constructor", "toString", "__proto__"])(
    "answers HTTP/2's method %s, which names no handler",
    async (method) => {
      const { endpoint } = await startDoor();
      const session = connect(endpoint);
      try {
        const status = await new Promise((resolve, reject) => {
          const stream = session.request({ ":method": method, ":path": "/state/k" });
          stream.on("response", (headers) => resolve(headers[":status"]));
          stream.on("error", reject);
        });
        expect(status).toBe(405);
      } finally {
        session.destroy();
      }
    },
  );

  it("takes a caller that hangs up in the middle of a value for no bug", async () => {
    const lines: string[] = [];
    const runtime = await startRuntime({
      logger: pino({ level: "debug" }, { write: (line) => lines.push(line) }),
    });
    const socket = createConnection(Number(new URL(runtime.endpoint).port), "127.0.0.1");
    socket.write("PUT /state/k HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\nhalf");
    // Then the request is being served.
    expect(String(await once(socket, "data"))).toContain("100 Continue");
    socket.destroy();
    expect((await fetch(`${runtime.endpoint}/state/k`)).status).toBe(404);
    // Waits for all that is served.
    await runtime.close();
    expect(lines.join()).toContain('"msg":"stopped"');
    expect(lines.filter((line) => line.includes("internal error"))).toEqual([]);
  });

  it("is open over HTTP/2 too", async () => {
    const { endpoint } = await startRuntime({ resources: [component("memory")] });
    const session = connect(endpoint);
    try {
      const exchange = (headers: Record<string, string>, body?: string) =>
        new Promise<{ status: unknown; text: string }>((resolve, reject) => {
          const stream = session.request(headers);
          let status: unknown;
          let text = "";
          stream.setEncoding("utf8");
          stream.on("response", (response) => {
            status = response[":status"];
          });
          stream.on("data", (chunk: string) => {
            text += chunk;
          });
          stream.on("end", () => resolve({ status, text }));
          stream.on("error", reject);
          stream.end(body);
        });
      expect((await exchange({ ":path": "/state/k", ":method": "PUT" }, "over h2")).status).toBe(204);
      expect(await exchange({ ":path": "/state/k" })).toEqual({ status: 200, text: "over h2" });
    } finally {
      session.close();
    }
  });
});
