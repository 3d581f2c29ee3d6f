import { statSync } from "node:fs";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { AdminService, RuntimeService } from "@mecha/api/runtime";
import { createTransport } from "@mecha/rpc";
import { describe, expect, it } from "vitest";
import { startRuntime, temporaryFolder } from "../../../test/helpers.js";

describe("the admin socket", () => {
  it("is the owner's alone, changes the log level and stops the runtime; apps cannot", async () => {
    const dataDir = join(temporaryFolder(), "data");
    const runtime = await startRuntime({ dataDir });
    const path = join(dataDir, "admin.sock");
    expect(runtime.adminEndpoint).toBe(`unix:${path}`);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(dataDir).mode & 0o777).toBe(0o700);

    const forApps = createClient(AdminService, createTransport({ endpoint: runtime.endpoint }));
    await expect(forApps.shutdown({})).rejects.toThrow();
    const admin = createClient(AdminService, createTransport({ endpoint: runtime.adminEndpoint ?? "" }));
    await expect(admin.setLogLevel({ level: "loud" })).rejects.toThrow(
      /level is "loud"; it must be one of trace, debug/,
    );
    await admin.shutdown({});
    await runtime.closed;
    expect(() => statSync(path)).toThrow();
  });

  it("of a second runtime in the same folder has a name of its own", async () => {
    const dataDir = temporaryFolder();
    const first = await startRuntime({ dataDir });
    const second = await startRuntime({ dataDir });
    expect(second.adminEndpoint).not.toBe(first.adminEndpoint);
    const info = createClient(RuntimeService, createTransport({ endpoint: second.adminEndpoint ?? "" }));
    expect((await info.getInfo({})).appId).toBe("app");
  });
});
