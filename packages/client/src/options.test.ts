import { createRouterTransport } from "@connectrpc/connect";
import { afterEach, describe, expect, it, vi } from "vitest";
import { resolveClientOptions } from "./options.js";

afterEach(() => vi.unstubAllEnvs());

const environment = (endpoint: string | undefined, token: string | undefined) => {
  vi.stubEnv("MECHA_ENDPOINT", endpoint);
  vi.stubEnv("MECHA_API_TOKEN", token);
};

describe("resolveClientOptions", () => {
  it("prefers the option, then the environment, then the default", () => {
    environment("unix:/run/mecha.sock", "from-environment");
    expect(resolveClientOptions({ endpoint: "https://mecha:1", token: "from-option" })).toMatchObject({
      endpoint: "https://mecha:1",
      token: "from-option",
    });
    expect(resolveClientOptions({})).toMatchObject({ endpoint: "unix:/run/mecha.sock", token: "from-environment" });
    environment(undefined, undefined);
    expect(resolveClientOptions({})).toMatchObject({ endpoint: "http://127.0.0.1:3600", token: undefined });
  });

  it("takes an empty variable for none", () => {
    environment("", "");
    expect(resolveClientOptions({})).toMatchObject({ endpoint: "http://127.0.0.1:3600", token: undefined });
  });

  it("gives a transport of the caller's no token from the environment", () => {
    environment("not an endpoint", "secret");
    expect(resolveClientOptions({ transport: createRouterTransport(() => {}) }).token).toBeUndefined();
  });

  it.each(["127.0.0.1:3600", "ftp://x", "unix:relative", "http://", "https://[::1"])(
    "refuses endpoint %j, and says what is right",
    (endpoint) => {
      environment(endpoint, undefined);
      const problem = { reason: "BAD_REQUEST", message: expect.stringContaining("http://host:port") };
      expect(() => resolveClientOptions({ endpoint })).toThrow(
        expect.objectContaining({ ...problem, violations: [expect.objectContaining({ field: "endpoint" })] }),
      );
      expect(() => resolveClientOptions({})).toThrow(
        expect.objectContaining({ ...problem, violations: [expect.objectContaining({ field: "MECHA_ENDPOINT" })] }),
      );
    },
  );

  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31])("refuses a deadline of %d ms", (timeoutMs) => {
    expect(() => resolveClientOptions({ timeoutMs })).toThrow(expect.objectContaining({ reason: "BAD_REQUEST" }));
  });
});
