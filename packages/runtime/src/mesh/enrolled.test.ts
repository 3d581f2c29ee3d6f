import { statSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "@mecha/component";
import { createAuthority, createToken, serveAuthority } from "@mecha/identity";
import { expect, onTestFinished, test } from "vitest";
import { component, temporaryFolder } from "../../test/helpers.js";
import { createLog } from "../../test/log.js";
import { findsApp, startApp, startMeshRuntime } from "../../test/mesh.js";

/** An authority that is served, as `mecha ca serve` does. */
async function startAuthority() {
  const folder = join(temporaryFolder(), "ca");
  createAuthority(folder, { trustDomain: "shop.example" });
  const server = await serveAuthority({ folder, port: 0, clock: systemClock, logger: createLog().logger });
  onTestFinished(() => server.close());
  const tokenFor = (appId: string) => createToken(folder, { id: { namespace: "default", appId } }).token;
  return { address: server.endpoint, tokenFor };
}

test("runtimes that share no folder trust one another by an authority that both enrolled with; a restart needs no token", async () => {
  const { address, tokenFor } = await startAuthority();
  const app = await startApp((request, response) => response.end(String(request.headers["mecha-caller"])));
  // What they share is where apps are found.
  const resources = [component("names", { type: "sqlite", config: { path: join(temporaryFolder(), "names.db") } })];
  const start = (appId: string, dataDir: string, token: string | undefined, appPort?: number) => {
    const authority = { address, ...(token !== undefined && { token }) };
    const mesh = { port: 0, authority };
    return startMeshRuntime(appId, dataDir, { resources, mesh, ...(appPort !== undefined && { appPort }) });
  };
  const [ordersDir, shopDir] = [temporaryFolder(), temporaryFolder()];
  await start("orders", ordersDir, tokenFor("orders"), app.port);
  const shop = await start("shop", shopDir, tokenFor("shop"));
  await findsApp(shop, "orders");
  const call = async (endpoint: string) => (await fetch(`${endpoint}/invoke/orders/x`)).text();
  expect(await call(shop.endpoint)).toBe("shop");
  expect(statSync(join(shopDir, "identity/default.shop")).mode & 0o777).toBe(0o700);

  await shop.close();
  const again = await start("shop", shopDir, undefined);
  await findsApp(again, "orders");
  expect(await call(again.endpoint)).toBe("shop");
});

test("a runtime without a token calls nobody, and its log says what to do", async () => {
  const { address, tokenFor } = await startAuthority();
  const { lines, logger } = createLog();
  const mesh = { port: 0, authority: { address } };
  const shop = await startMeshRuntime("shop", temporaryFolder(), { mesh, logger });
  const answer = await fetch(`${shop.endpoint}/invoke/orders/x`);
  expect(answer.status).toBe(503);
  expect(lines.join()).toContain('get a new token with "mecha ca token --dir ca --app shop');

  const token = tokenFor("orders");
  const other = await startMeshRuntime("shop", temporaryFolder(), {
    mesh: { port: 0, authority: { address, token } },
    logger,
  });
  expect((await fetch(`${other.endpoint}/invoke/orders/x`)).status).toBe(503);
  expect(lines.join()).not.toContain(token);
});

test("files and an authority cannot both say who a runtime is", async () => {
  const certificates = { certificate: "a", key: "b", authorities: "c" };
  const mesh = { certificates, authority: { address: "localhost:1" } };
  await expect(startMeshRuntime("shop", temporaryFolder(), { mesh })).rejects.toThrow("leave one out");
});
