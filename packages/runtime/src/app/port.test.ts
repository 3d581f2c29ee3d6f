import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { expect, it, vi } from "vitest";
import { createRuntime } from "../index.js";

it("is not ready before the app listens on its port", async () => {
  const app = createServer().listen(0, "127.0.0.1");
  await once(app, "listening");
  const { port } = app.address() as AddressInfo;
  await new Promise((resolve) => app.close(resolve));

  const memory = {
    apiVersion: "mecha.dev/v1" as const,
    kind: "Component",
    metadata: { name: "m" },
    spec: { type: "memory" },
  };
  await using runtime = await createRuntime({ listen: {}, appPort: port, resources: [memory], adminSocket: false });
  const ask = async () => {
    const response = await fetch(`${runtime.endpoint}/readyz`);
    return [response.status, ((await response.json()) as { status: string }).status];
  };
  expect(await ask()).toEqual([503, "waiting for the app"]);

  app.listen(port, "127.0.0.1");
  await once(app, "listening");
  await vi.waitFor(async () => expect(await ask()).toEqual([200, "ready"]), { timeout: 10_000 });
  await new Promise((resolve) => app.close(resolve));
});

it("refuses a port that is none", async () => {
  await expect(createRuntime({ appPort: 70_000 })).rejects.toThrow(
    "`appPort` is 70000; it must be a TCP port, 1 to 65535",
  );
});
