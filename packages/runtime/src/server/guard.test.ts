import type { RequestHead } from "@mecha/rpc";
import { describe, expect, it } from "vitest";
import { callState, startRuntime } from "../../test/helpers.js";
import { createGuard, type GuardOptions } from "./guard.js";

const get = "/mecha.state.v1.StateService/Get";

function decide(options: Partial<GuardOptions>, headers: Record<string, string>, url = get): string {
  const guard = createGuard({
    listen: { port: 3600 },
    token: undefined,
    allowedHosts: [],
    allowedOrigins: [],
    ...options,
  });
  const head: RequestHead = { method: "POST", url, header: (name) => headers[name], remoteAddress: "127.0.0.1" };
  return guard(head)?.message ?? "allowed";
}

describe("Host", () => {
  it.each(["localhost:3600", "LOCALHOST", "127.0.0.1:3600", "127.1.2.3", "[::1]:3600"])("%s is loopback", (host) => {
    expect(decide({}, { host })).toBe("allowed");
  });

  it.each([
    "evil.example:3600",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "169.254.1.1",
    "10.0.0.7:3600",
    "",
  ])("%s is not", (host) => {
    expect(decide({}, { host })).toMatch(/permission_denied.*is not this runtime's/);
  });

  it("may be the address that is listened on, or a configured name", () => {
    const options = { listen: { host: "10.0.0.7" }, allowedHosts: ["Mecha.internal"] };
    expect(decide(options, { host: "10.0.0.7:3600" })).toBe("allowed");
    expect(decide(options, { host: "mecha.internal:3600" })).toBe("allowed");
    expect(decide(options, { host: "10.0.0.8:3600" })).toMatch(/permission_denied/);
  });

  it("may be any address, but no other name, when every address is listened on", () => {
    const options = { listen: { host: "0.0.0.0" } };
    expect(decide(options, { host: "10.0.0.8:3600" })).toBe("allowed");
    expect(decide(options, { host: "[fd00::1]:3600" })).toBe("allowed");
    expect(decide(options, { host: "evil.example" })).toMatch(/permission_denied/);
  });

  it("may be anything on a Unix socket, which no browser reaches", () => {
    expect(decide({ listen: { path: "/x.sock" } }, { host: "whatever" })).toBe("allowed");
  });
});

describe("a web page", () => {
  const host = "localhost:3600";
  it.each([
    { origin: "https://evil.example" },
    { origin: "http://localhost:8080" },
    { origin: "null" },
    { "sec-fetch-site": "cross-site" },
    { "sec-fetch-site": "same-site" },
  ])("is refused with %j", (headers) => {
    expect(decide({}, { host, ...(headers as Record<string, string>) })).toMatch(/web pages of .* may not call/);
  });

  it("of this very listener, and what is no page, is let through", () => {
    expect(decide({}, { host, origin: "http://localhost:3600" })).toBe("allowed");
    expect(decide({}, { host, "sec-fetch-site": "same-origin" })).toBe("allowed");
    expect(decide({}, { host, "sec-fetch-site": "none" })).toBe("allowed");
  });
});

describe("the token", () => {
  const host = "localhost";
  const token = "s3cret";

  it("is asked for, and compared as a whole", () => {
    expect(decide({ token }, { host, authorization: "Bearer s3cret" })).toBe("allowed");
    expect(decide({ token }, { host })).toMatch(/unauthenticated.*asks for a token/);
    for (const authorization of ["Bearer s3creT", "Bearer s3cre", "Bearer s3crets", "s3cret", "Bearer ", ""]) {
      expect(decide({ token }, { host, authorization })).toMatch(/unauthenticated.*not this runtime's/);
    }
  });

  it.each(["/healthz", "/readyz?verbose", "/metrics", "/grpc.health.v1.Health/Check"])(
    "is not needed for %s",
    (url) => {
      expect(decide({ token }, { host }, url)).toBe("allowed");
    },
  );

  it.each(["/healthz/../state/k", "/state/healthz", "/metricsx", "/grpc.health.v1.HealthX/Check", "//healthz"])(
    "is needed for %s",
    (url) => {
      expect(decide({ token }, { host }, url)).toMatch(/unauthenticated/);
    },
  );

  it("guards RPCs and plain HTTP alike, with the reason, and not the calls in process", async () => {
    const runtime = await startRuntime({ token });
    const { endpoint } = runtime;
    const refused = { status: 401, reason: "BAD_TOKEN" };
    expect(await callState(endpoint, "Get", { key: "a" })).toMatchObject(refused);
    expect(await callState(endpoint, "Get", { key: "a" }, { authorization: "Bearer wrong" })).toMatchObject(refused);
    expect((await callState(endpoint, "Get", { key: "a" }, { authorization: `Bearer ${token}` })).status).toBe(200);
    expect((await fetch(`${endpoint}/state/a`, { method: "PUT", body: "x" })).status).toBe(401);
    expect((await fetch(`${endpoint}/healthz`)).status).toBe(200);
    expect((await fetch(`${endpoint}/readyz`)).status).toBe(200);
    expect((await fetch(`${endpoint}/metrics`)).status).toBe(200);
  });

  it("comes from MECHA_API_TOKEN when the runtime listens", async () => {
    const { endpoint } = await startRuntime({ environment: { MECHA_API_TOKEN: token } });
    expect((await callState(endpoint, "Get", { key: "a" })).status).toBe(401);
  });
});
