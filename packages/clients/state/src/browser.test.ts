import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { Runtime } from "@mecha/runtime";
import { locate, missing } from "@mecha/test-servers";
import { build } from "esbuild";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startRuntime } from "../test/runtime.js";
import { createStateClient } from "./index.js";

// A web page with the bundled client, in a real browser, that calls a runtime of another origin.

const token = "browser-test";

describe.skipIf(missing("chromium"))("in a browser", () => {
  let browser: Browser;
  let page: Page;
  let web: Server;
  let origin: string;

  beforeAll(async () => {
    web = await servePage();
    origin = `http://127.0.0.1:${(web.address() as AddressInfo).port}`;
    browser = await chromium.launch({
      executablePath: locate("chromium"),
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    });
    page = await browser.newPage();
    await page.goto(origin);
  });

  afterAll(async () => {
    await browser.close();
    await new Promise((resolve) => web.close(resolve));
  });

  const callRuntime = (runtime: Runtime) =>
    page.evaluate(([endpoint, token]) => globalThis.callRuntime(endpoint, token), [
      runtime.endpoint ?? "",
      token,
    ] as const);

  it("sets, gets, compares and watches, when its origin is allowed", async () => {
    await using runtime = await startRuntime({ listen: {}, token, allowedOrigins: [origin], adminSocket: false });
    expect(await callRuntime(runtime)).toEqual({
      value: { text: "grüße" },
      bytes: [0, 255],
      conflict: "ETAG_MISMATCH",
      changes: ['{"text":"grüße"}', "synced", '{"text":"changed"}'],
    });
  });

  it("gets nothing when it is not, even with the token", async () => {
    await using runtime = await startRuntime({ listen: {}, token, adminSocket: false });
    await expect(callRuntime(runtime)).rejects.toThrow("MechaError");
    await using state = createStateClient({ transport: runtime.transport });
    expect(await Array.fromAsync(state.listKeys())).toEqual([]);
  });
});

/** Serves an empty page with the bundled script of test/browser-page.ts. */
async function servePage(): Promise<Server> {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, "../test/browser-page.ts")],
    bundle: true,
    platform: "browser",
    format: "esm",
    write: false,
  });
  const server = createServer(({ url }, response) => {
    const [type, body] = url === "/page.js" ? ["text/javascript", outputFiles[0]?.text] : ["text/html", html];
    response.writeHead(200, { "content-type": `${type}; charset=utf-8` }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

const html = '<!doctype html><title>Mecha</title><script type="module" src="/page.js"></script>';
