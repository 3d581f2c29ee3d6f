import { describe, expect, test } from "vitest";
import { openHttp, reasonOf } from "../test/client.js";
import { startServer } from "../test/server.js";
import { http } from "./index.js";

describe("a request", () => {
  test("is what the call says, and its response is data with the rest as metadata", async () => {
    const server = await startServer((_, response, body) => {
      response.writeHead(201, { "content-type": "application/json", etag: '"7"' }).end(`{"got":${body}}`);
    });
    const invoke = await openHttp({
      baseUrl: `${server.url}/v1/`,
      headers: { Authorization: "Bearer top", "x-app": "shop" },
    });
    const metadata = { path: "/orders/7?full=1", "query.page": "a&b", "header.idempotency-key": "k1" };
    const answer = await invoke("post", metadata, '{"n":1}', { contentType: "application/json" });
    expect(answer).toMatchObject({ text: '{"got":{"n":1}}', contentType: "application/json" });
    expect(answer.metadata).toMatchObject({
      status: "201",
      "header.etag": '"7"',
      url: `${server.url}/v1/orders/7?full=1&page=a%26b`,
    });
    expect(server.requests).toMatchObject([
      {
        method: "POST",
        url: "/v1/orders/7?full=1&page=a%26b",
        body: '{"n":1}',
        headers: {
          authorization: "Bearer top",
          "x-app": "shop",
          "idempotency-key": "k1",
          "content-type": "application/json",
          "content-length": "7",
        },
      },
    ]);
  });

  test.each(["get", "head", "options", "post", "put", "patch", "delete"])(
    "%s is sent as that method",
    async (operation) => {
      const server = await startServer();
      const invoke = await openHttp({ baseUrl: server.url });
      expect((await invoke(operation)).metadata.status).toBe("200");
      expect(server.requests[0]?.method).toBe(operation.toUpperCase());
    },
  );

  test("of any method is sent by `request`, except those that open tunnels", async () => {
    const server = await startServer();
    const invoke = await openHttp({ baseUrl: server.url });
    await invoke("request", { method: "propfind" }, "<x/>");
    expect(server.requests).toMatchObject([{ method: "PROPFIND", body: "<x/>" }]);
    for (const method of ["CONNECT", "TRACE", "GET\r\nx: y", ""])
      expect(await reasonOf(invoke("request", { method }))).toBe("BAD_REQUEST");
  });

  test("carries only headers that are allowed, and no line break", async () => {
    const server = await startServer();
    const invoke = await openHttp({ baseUrl: server.url, allowedHeaders: ["X-Trace"] });
    await invoke("get", { "header.x-trace": "1" });
    expect(server.requests[0]?.headers["x-trace"]).toBe("1");
    expect(await reasonOf(invoke("get", { "header.authorization": "x" }))).toBe("BAD_REQUEST");
    expect(await reasonOf(invoke("get", { "header.x-trace": "1\r\nhost: evil" }))).toBe("BAD_REQUEST");
    expect(await reasonOf(invoke("post", {}, "x", { contentType: "text/plain\r\nx: y" }))).toBe("BAD_REQUEST");
    for (const name of ["Host", "transfer-encoding", "Content-Length"]) {
      expect(http.config.safeParse({ allowedHeaders: [name] }).success).toBe(false);
      expect(http.config.safeParse({ headers: { [name]: "1" } }).success).toBe(false);
    }
    expect(server.requests).toHaveLength(1);
  });

  test.each([
    "/../admin",
    "/%2e%2e/admin",
    "/..\\admin",
    "//evil.example/x",
    "/\\evil.example",
    "orders",
    "@evil.example/",
    ":80/x",
    "/../v10",
  ])("cannot leave the base URL by path %s", async (path) => {
    const server = await startServer();
    const invoke = await openHttp({ baseUrl: `${server.url}/v1` });
    const left = await invoke("get", { path }).then(
      () => server.requests.filter(({ url }) => !/^\/v1(\/|\?|$)/.test(url)),
      () => [],
    );
    expect(left).toEqual([]);
    expect(server.requests.every(({ headers }) => headers.host === `127.0.0.1:${server.port}`)).toBe(true);
  });
});

describe("a response", () => {
  test("of any status is an answer", async () => {
    const server = await startServer((_, response) => response.writeHead(503).end("later"));
    const invoke = await openHttp({ baseUrl: server.url });
    expect(await invoke("get")).toMatchObject({ text: "later", metadata: { status: "503" } });
  });

  test("over the limit is TOO_LARGE and says that the request was done; one of the limit is not", async () => {
    const server = await startServer((request, response) => response.end("x".repeat(Number(request.url?.slice(1)))));
    const invoke = await openHttp({ baseUrl: server.url, maxResponseBytes: 1000 });
    expect((await invoke("get", { path: "/1000" })).data.byteLength).toBe(1000);
    await expect(invoke("post", { path: "/1001" })).rejects.toMatchObject({
      reason: "TOO_LARGE",
      metadata: { done: "true" },
    });
  });

  test("that does not come: a read was not done, a write may have been", async () => {
    const server = await startServer(() => {});
    const invoke = await openHttp({ baseUrl: server.url, timeoutMs: 2_000 });
    expect(await reasonOf(invoke("get"))).toBe("COMPONENT_UNAVAILABLE");
    expect(await reasonOf(invoke("post"))).toBe("OUTCOME_UNKNOWN");
    expect(await reasonOf(invoke("post", { timeout: "500ms" }))).toBe("OUTCOME_UNKNOWN");
    const broken = await startServer((request) => request.socket.destroy());
    const other = await openHttp({ baseUrl: broken.url });
    expect(await reasonOf(other("put"))).toBe("OUTCOME_UNKNOWN");
    expect(await reasonOf(other("get"))).toBe("COMPONENT_UNAVAILABLE");
  });

  test("cannot come where nobody listens: nothing was done", async () => {
    const invoke = await openHttp({ baseUrl: "http://127.0.0.1:9" });
    expect(await reasonOf(invoke("post"))).toBe("COMPONENT_UNAVAILABLE");
  });
});

describe("a redirect", () => {
  test("is an answer by default", async () => {
    const server = await startServer((_, response) => response.writeHead(302, { location: "/else" }).end());
    const invoke = await openHttp({ baseUrl: server.url });
    expect((await invoke("get")).metadata).toMatchObject({ status: "302", "header.location": "/else" });
    expect(server.requests).toHaveLength(1);
  });

  test("is followed as far as allowed; a POST becomes a GET by 303, not by 307", async () => {
    const server = await startServer((request, response) => {
      const [, status = "", next = ""] = /^\/(\d+)(.*)$/.exec(request.url ?? "") ?? [];
      if (status === "") response.end("there");
      else response.writeHead(Number(status), { location: next }).end();
    });
    const invoke = await openHttp({ baseUrl: server.url, maxRedirects: 2 });
    const answer = await invoke("post", { path: "/307/303/end" }, "body");
    expect(answer).toMatchObject({ text: "there", metadata: { status: "200", url: `${server.url}/end` } });
    expect(server.requests.map(({ method, body }) => [method, body])).toEqual([
      ["POST", "body"],
      ["POST", "body"],
      ["GET", ""],
    ]);
    expect((await invoke("get", { path: "/301/302/303/end" })).metadata.status).toBe("303");
  });

  test("to another origin takes no credential along", async () => {
    const other = await startServer();
    const server = await startServer((_, response) => response.writeHead(307, { location: other.url }).end());
    const invoke = await openHttp({ baseUrl: server.url, maxRedirects: 1, headers: { "x-api-key": "secret" } });
    await invoke("get", { "header.authorization": "Bearer x", "header.accept": "text/html" });
    expect(server.requests[0]?.headers).toMatchObject({ "x-api-key": "secret", authorization: "Bearer x" });
    expect(other.requests[0]?.headers).toMatchObject({ accept: "text/html" });
    expect(Object.keys(other.requests[0]?.headers ?? {})).not.toEqual(expect.arrayContaining(["x-api-key"]));
    expect(other.requests[0]?.headers.authorization).toBeUndefined();
  });

  test("to an address that may not be reached, or to another kind of URL, is refused", async () => {
    const hidden = await startServer(undefined, "127.0.0.2");
    for (const location of [hidden.url, "http://[::1]/", "http://169.254.169.254/latest", "file:///etc/passwd"]) {
      const server = await startServer((_, response) => response.writeHead(302, { location }).end());
      const invoke = await openHttp({ baseUrl: server.url, maxRedirects: 5 });
      expect(await reasonOf(invoke("get"))).toBe("TARGET_REFUSED");
    }
    expect(hidden.requests).toEqual([]);
  });
});
