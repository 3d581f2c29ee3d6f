import { describe, expect, it } from "vitest";
import { callState, component, startRuntime } from "../../test/helpers.js";
import { testComponent } from "../../test/test-component.js";

describe("a bug in a component", () => {
  it("reaches the caller as INTERNAL with an id that the log bears too, and nothing of what it was", async () => {
    const logged: { fields: { id?: string; err?: Error }; message: string }[] = [];
    const logger = {
      level: "info",
      isLevelEnabled: () => false,
      child: () => logger,
      debug() {},
      info() {},
      warn() {},
      error: (fields: object, message: string) => void logged.push({ fields, message }),
    };
    const { definition } = testComponent();
    const buggy = {
      ...definition,
      async create(...args: Parameters<typeof definition.create>) {
        const created = await definition.create(...args);
        const { state } = created.blocks;
        if (state !== undefined) state.get = () => Promise.reject(new TypeError("/etc/secret is undefined"));
        return created;
      },
    };
    const { endpoint } = await startRuntime({
      logger,
      components: [buggy],
      resources: [component("a", { type: "test" })],
    });
    const { status, json } = await callState(endpoint, "Get", { key: "a" });
    expect(status).toBe(500);
    const [line] = logged;
    expect(line?.fields.err?.message).toBe("/etc/secret is undefined");
    expect(JSON.stringify(json)).toContain(line?.fields.id);
    expect(JSON.stringify(json)).not.toContain("secret");
  });
});
