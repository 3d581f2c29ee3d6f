import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { createClient } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@mecha/api/health";
import { sqlite } from "@mecha/component-sqlite";
import { serve } from "@mecha/rpc";
import { createRuntime, type Runtime } from "@mecha/runtime";
import { expect, onTestFinished, test, vi } from "vitest";
import { temporaryFolder } from "../test/temporary-folder.ts";
import { createMeshClient } from "./client.js";

/** A runtime of an app. */
async function startRuntime(appId: string, dataDir: string, appPort?: number): Promise<Runtime> {
  const runtime = await createRuntime({
    appId,
    dataDir,
    components: [sqlite],
    resources: [],
    environment: {},
    listen: { port: 0 },
    adminSocket: false,
    mesh: { port: 0 },
    token: `token-of-${appId}`,
    ...(appPort !== undefined && { appPort }),
  });
  onTestFinished(() => runtime.close({ deadlineMs: 0 }));
  return runtime;
}

/** A client of "shop", which calls "orders" behind `port`. */
async function startPair(port: number) {
  const dataDir = temporaryFolder();
  await startRuntime("orders", dataDir, port);
  const shop = await startRuntime("shop", dataDir);
  const mesh = createMeshClient({ endpoint: shop.endpoint ?? "", token: "token-of-shop" });
  onTestFinished(() => mesh.close());
  const found = async () => expect([404, 503]).not.toContain((await mesh.fetch("orders", "/found")).status);
  await vi.waitFor(found, { timeout: 20_000, interval: 20 });
  return { mesh, shop };
}

async function startApp(handle: RequestListener): Promise<number> {
  const server = createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

test("fetch reaches the app that is named, with what it was given, and the answer is a Response", async () => {
  const port = await startApp(async (request, response) => {
    const { authorization, "mecha-caller": caller, "mecha-token": token } = request.headers;
    response.statusCode = 201;
    response.end(JSON.stringify({ url: request.url, authorization, caller, token, body: await text(request) }));
  });
  const { mesh } = await startPair(port);
  const body = new Blob(["streamed"]).stream();
  const response = await mesh.fetch("orders", "/a?b=c", {
    method: "PUT",
    body,
    headers: { authorization: "Bearer user" },
  });
  expect(response.status).toBe(201);
  expect(await response.json()).toEqual({
    url: "/a?b=c",
    authorization: "Bearer user",
    caller: "shop",
    body: "streamed",
  });
});

test("whatever the path says, the app stays the one that is named", async () => {
  const port = await startApp((request, response) => response.end(`orders ${request.url}`));
  const { mesh } = await startPair(port);
  for (const path of ["/../billing/x", "/invoke/billing/x", "/a/%2e%2e/%2e%2e/billing/x", "//billing/x"]) {
    expect(await (await mesh.fetch("orders", path)).text(), path).toMatch(/^orders \//);
  }
});

test("an app that nobody knows is a 404 with words, as an answer", async () => {
  const { mesh } = await startPair(await startApp((_request, response) => response.end()));
  const response = await mesh.fetch("nobody", "/x");
  expect(response.status).toBe(404);
  expect(await response.text()).toContain('there is no app \\"nobody\\"');
});

test("a generated client calls by app id, with its unary calls and its streams", async () => {
  const app = await serve({
    routes: ({ service }) =>
      service(Health, {
        check: ({ service: name }, { requestHeader }) => {
          const isShop = requestHeader.get("mecha-caller") === "shop" && name === "own";
          return { status: isShop ? Status.SERVING : Status.UNKNOWN };
        },
        async *watch() {
          yield { status: Status.NOT_SERVING };
          yield { status: Status.SERVING };
        },
      }),
    fallback: (_request, response) => void response.writeHead(200).end(),
  });
  onTestFinished(() => app.close({ deadlineMs: 0 }));
  const { mesh } = await startPair(Number(new URL(app.endpoint).port));
  // A service that the runtime has itself: the call goes to the app all the same.
  const health = createClient(Health, mesh.transport("orders"));
  expect((await health.check({ service: "own" })).status).toBe(Status.SERVING);
  const states: Status[] = [];
  for await (const { status } of health.watch({})) states.push(status);
  expect(states).toEqual([Status.NOT_SERVING, Status.SERVING]);
  const nobody = createClient(Health, mesh.transport("nobody"));
  await expect(nobody.check({})).rejects.toThrow('there is no app "nobody"');
});

test("a closed client ends what is open", async () => {
  const { mesh } = await startPair(
    await startApp((request, response) => (request.url === "/found" ? response.end() : undefined)),
  );
  const hanging = mesh.fetch("orders", "/hangs");
  const outcome = expect(hanging).rejects.toThrow();
  await mesh.close();
  await outcome;
});

test("what cannot be meant is refused before it is sent", async () => {
  const mesh = createMeshClient({ endpoint: "http://127.0.0.1:1" });
  await expect(mesh.fetch("Orders", "/x")).rejects.toMatchObject({ reason: "BAD_REQUEST" });
  await expect(mesh.fetch("orders", "x")).rejects.toThrow("must begin with a slash");
  expect(() => mesh.transport("a/b")).toThrow("is no app id");
  await expect(createMeshClient({ endpoint: "unix:/x" }).fetch("orders", "/x")).rejects.toThrow("Unix socket");
});
