import { createClient } from "@connectrpc/connect";
import { Health as ComponentHealth, RuntimeService } from "@mecha/api/runtime";
import { createTransport } from "@mecha/rpc";
import { describe, expect, it } from "vitest";
import { component, startRuntime } from "../../../test/helpers.js";

describe("GetInfo and ListResources", () => {
  it("tell what runs, and page", async () => {
    const resources = [component("b", { default: true }), component("a", { scopes: ["other"] })];
    const runtime = await startRuntime({ resources, namespace: "staging", appId: "shop" });
    const client = createClient(RuntimeService, createTransport({ endpoint: runtime.endpoint }));
    const info = await client.getInfo({});
    expect(info).toMatchObject({ namespace: "staging", appId: "shop", processId: BigInt(process.pid) });
    expect(info.version).toMatch(/^\d+\.\d+\.\d+/);
    expect(info.components.map(({ name, health }) => [name, health])).toEqual([
      ["a", ComponentHealth.HEALTHY],
      ["b", ComponentHealth.HEALTHY],
    ]);
    const first = await client.listResources({ pageSize: 1 });
    expect(first.resources).toMatchObject([{ kind: "Component", name: "a", source: "resources[1]", error: "" }]);
    const { resources: rest, nextPageToken } = await client.listResources({ pageToken: first.nextPageToken });
    expect([rest.map(({ name }) => name), nextPageToken]).toEqual([["b"], ""]);
    await expect(client.listResources({ pageToken: "nonsense" })).rejects.toThrow(/page_token/);
  });
});
