import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { missing, startPostgres, startRedis, type TestServer, type Tool } from "@mecha/test-servers";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { type Served, serveMecha } from "../src/mecha.ts";

const soon = { timeout: 30_000, interval: 20 };
/** How long a runtime that was killed may be found still: its lease, in ms. */
const leaseMs = 10_000;

const kinds: readonly [type: Tool & ("postgres" | "redis"), words: string, start: () => Promise<TestServer>][] = [
  ["postgres", "PostgreSQL database", () => startPostgres()],
  ["redis", "Redis", () => startRedis()],
];

/** An app that answers with its name. */
async function startApp(name: string): Promise<number> {
  const app = createServer((_, response) => response.end(name)).listen(0, "127.0.0.1");
  onTestFinished(() => void app.close());
  await new Promise((resolve) => app.once("listening", resolve));
  return (app.address() as AddressInfo).port;
}

/** A folder of a runtime's own, which is given the authority of another one: as hosts have, whose certificates one authority made. */
function newFolder(authority?: Served): string {
  const folder = mkdtempSync(join(tmpdir(), "mecha-e2e-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  if (authority !== undefined) cpSync(join(authority.folder, "ca"), join(folder, "ca"), { recursive: true });
  return folder;
}

describe.each(kinds)("apps that share nothing but %s", (type, words, startServer) => {
  test.skipIf(missing(type))(
    "find and call one another; who is drained or killed is gone, and the server may restart",
    {
      timeout: 180_000,
    },
    async () => {
      await using server = await startServer();
      const resources = `apiVersion: mecha.dev/v1
kind: Component
metadata: { name: shared }
spec: { type: ${type}, config: { url: "${server.url}" }, default: [discovery] }
`;
      const serve = async (app: string, appPort: number, authority?: Served) => {
        const args = ["--app-id", app, "--app-port", String(appPort), "--mesh-port", "0"];
        const served = await serveMecha({ resources, args, folder: newFolder(authority) });
        onTestFinished(() => served.kill());
        return served;
      };
      const shop = await serve("shop", await startApp("shop"));
      const call = async (app: string) => {
        const response = await fetch(`${shop.endpoint}/invoke/${app}/`);
        return `${response.status} ${await response.text()}`;
      };
      const unknown = await call("orders");
      expect(unknown).toMatch(/^404 .*APP_NOT_FOUND/s);
      expect(unknown).toContain(`in namespace \\"default\\" of the ${words} that its runtimes share; there is: shop`);

      const first = await serve("orders", await startApp("one"), shop);
      await vi.waitFor(async () => expect(await call("orders")).toBe("200 one"), soon);
      const second = await serve("orders", await startApp("two"), shop);
      await vi.waitFor(async () => expect(await call("orders")).toBe("200 two"), soon);

      await first.kill("SIGTERM");
      for (let round = 0; round < 20; round++) expect(await call("orders")).toBe("200 two");

      // Its connections are gone, its lease is not: the server goes and comes meanwhile.
      await server.kill();
      expect(await call("orders")).toBe("200 two");
      await server.start();
      await second.kill();
      const killed = performance.now();
      await vi.waitFor(async () => expect(await call("orders")).toMatch(/^503 .*APP_UNAVAILABLE/s), soon);
      await vi.waitFor(async () => expect(await call("orders")).toContain("no instance"), soon);
      // The grace after the server's restart comes to it at the most.
      expect(performance.now() - killed).toBeLessThan(leaseMs + 6_000);

      await serve("orders", await startApp("three"), shop);
      // Told, not found by looking now and then, which is every half a minute.
      const ready = performance.now();
      await vi.waitFor(async () => expect(await call("orders")).toBe("200 three"), soon);
      expect(performance.now() - ready).toBeLessThan(5_000);
    },
  );
});
