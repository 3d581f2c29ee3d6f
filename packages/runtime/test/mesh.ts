import { createServer, type RequestListener, type Server } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { sqlite } from "@mecha/component-sqlite";
import { onTestFinished } from "vitest";
import type { Runtime, RuntimeOptions } from "../src/index.js";
import { startRuntime, temporaryFolder, until } from "./helpers.js";

/** An app on a free port; what it holds open ends with the test. */
export async function startApp(handle: RequestListener): Promise<Server & { port: number }> {
  const server = createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return Object.assign(server, { port: (server.address() as AddressInfo).port });
}

/** A runtime that finds others by the `sqlite` of its data directory. */
export function startMeshRuntime(appId: string, dataDir: string, options: RuntimeOptions = {}) {
  const own = { appId, dataDir, components: [sqlite], resources: [], mesh: { port: 0 }, adminSocket: false };
  return startRuntime({ ...own, ...options });
}

export type RunningRuntime = Runtime & { endpoint: string };

/** Waits until a runtime finds an app; `tick` turns a clock that stands still. */
export async function findsApp(runtime: RunningRuntime, app: string, token = "", tick = () => {}): Promise<void> {
  const find = () =>
    fetch(`${runtime.endpoint}/invoke/${app}/found`, { method: "HEAD", headers: { "mecha-token": token } });
  const isFound = async () => {
    tick();
    return (await find()).status === 200;
  };
  await until(isFound, `"${app}" is found`);
}

/** Two apps with their runtimes: "shop", which calls, and "orders", which is called. */
export async function startPair(
  handle: RequestListener,
  options: { shop?: RuntimeOptions; orders?: RuntimeOptions; tick?: () => void } = {},
) {
  const dataDir = temporaryFolder();
  const app = await startApp((request, response) => {
    if (request.url === "/found") response.end();
    else handle(request, response);
  });
  const orders = await startMeshRuntime("orders", dataDir, { appPort: app.port, ...options.orders });
  const shop = await startMeshRuntime("shop", dataDir, options.shop);
  await findsApp(shop, "orders", options.shop?.token, options.tick);
  return { dataDir, app, orders, shop, url: `${shop.endpoint}/invoke/orders` };
}

/** A raw connection to a runtime: sends text as it is, and collects what comes back. */
export function openRaw(runtime: RunningRuntime): { socket: Socket; text(): string; closed: Promise<void> } {
  const { hostname, port } = new URL(runtime.endpoint);
  const socket = connect(Number(port), hostname);
  onTestFinished(() => void socket.destroy());
  let text = "";
  socket.setEncoding("latin1");
  socket.on("data", (chunk) => {
    text += chunk;
  });
  socket.on("error", () => {});
  return { socket, text: () => text, closed: new Promise((resolve) => socket.once("close", () => resolve())) };
}
