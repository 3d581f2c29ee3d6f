import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { beforeEach, expect, it } from "vitest";
import { createCors } from "./cors.js";

let url: string;
beforeEach(async () => {
  const cors = createCors(["https://shop.example"]);
  const server = createServer((request, response) => {
    if (!cors(request, response)) response.writeHead(200, { "content-type": "text/plain" }).end("served");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return () => new Promise((resolve) => server.close(resolve));
});

it("answers the preflight of an allowed origin with what it asks for", async () => {
  const response = await fetch(url, {
    method: "OPTIONS",
    headers: {
      origin: "https://shop.example",
      "access-control-request-method": "POST",
      "access-control-request-headers": "connect-protocol-version,authorization",
    },
  });
  expect(response.status).toBe(204);
  expect(Object.fromEntries(response.headers)).toMatchObject({
    "access-control-allow-origin": "https://shop.example",
    "access-control-allow-methods": "POST",
    "access-control-allow-headers": "connect-protocol-version,authorization",
    vary: "Origin",
  });
});

it("marks what an allowed origin gets as readable, and serves it", async () => {
  const response = await fetch(url, { method: "POST", headers: { origin: "https://shop.example" } });
  expect(await response.text()).toBe("served");
  expect(response.headers.get("access-control-allow-origin")).toBe("https://shop.example");
  expect(response.headers.get("content-type")).toBe("text/plain");
});

it.each(["https://evil.example", "https://shop.example.evil.example", "null", undefined])(
  "gives origin %s nothing",
  async (origin) => {
    const response = await fetch(url, {
      method: "OPTIONS",
      headers: { ...(origin && { origin }), "access-control-request-method": "POST" },
    });
    expect(await response.text()).toBe("served");
    expect([...response.headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual([]);
  },
);
