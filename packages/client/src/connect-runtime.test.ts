import { inspect } from "node:util";
import { createClient } from "@connectrpc/connect";
import { StateService } from "@mecha/api/state";
import { serve } from "@mecha/rpc";
import { describe, expect, it, vi } from "vitest";
import { connectRuntime } from "./connect-runtime.js";
import { createDefaultTransport as createBrowserTransport } from "./transport/browser.js";

describe("connectRuntime", () => {
  it("calls the runtime that the environment names, with its token", async () => {
    const authorizations: (string | null)[] = [];
    await using server = await serve({
      routes: ({ service }) =>
        service(StateService, {
          get(_request, { requestHeader }) {
            authorizations.push(requestHeader.get("authorization"));
            return { item: { key: "a" } };
          },
        }),
    });
    vi.stubEnv("MECHA_ENDPOINT", server.endpoint);
    vi.stubEnv("MECHA_API_TOKEN", "s3cret");
    await using runtime = connectRuntime();
    vi.unstubAllEnvs();
    const { item } = await createClient(StateService, runtime.transport).get({ key: "a" });
    expect(item?.key).toBe("a");
    expect(authorizations).toEqual(["Bearer s3cret"]);
  });

  it("shows its token to nobody who prints it or its errors", async () => {
    await using runtime = connectRuntime({ endpoint: "http://127.0.0.1:1", token: "s3cret", retry: false });
    const error = await createClient(StateService, runtime.transport)
      .get({ key: "a" })
      .catch((error: unknown) => error);
    expect(error).toMatchObject({ reason: "RUNTIME_UNAVAILABLE" });
    expect(inspect([runtime, error], { depth: 20, showHidden: true })).not.toContain("s3cret");
  });
});

it("says that a browser has no Unix sockets", () => {
  expect(() => createBrowserTransport("unix:/run/mecha.sock")).toThrow(
    expect.objectContaining({ reason: "BAD_REQUEST" }),
  );
});
