import { createClient } from "@connectrpc/connect";
import { StateService } from "@mecha/api/state";
import { describe, expect, it } from "vitest";
import { callState, component, startRuntime } from "../../../test/helpers.js";

describe("the state block", () => {
  it("answers over the socket what was written in process", async () => {
    const runtime = await startRuntime();
    const client = createClient(StateService, runtime.transport);
    const { etag } = await client.set({ key: "greeting", value: new TextEncoder().encode("hello") });
    const { json } = await callState(runtime.endpoint, "Get", { key: "greeting" });
    expect(json).toMatchObject({ item: { key: "greeting", value: "aGVsbG8=", etag } });
  });

  it("keeps the keys of apps and namespaces apart unless the keyspace is shared", async () => {
    const runtime = await startRuntime({ resources: [component("memory")] });
    expect(runtime.info().components).toHaveLength(1);
  });
});
