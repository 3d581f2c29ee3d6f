import { expect, test } from "vitest";
import { temporaryFolder, until } from "../../test/helpers.js";
import { startLoad } from "../../test/load.js";
import { findsApp, type RunningRuntime, startApp, startMeshRuntime } from "../../test/mesh.js";
import { freePort, startWire } from "../../test/wire.js";
import type { ResourceObject } from "../index.js";

/** An instance of "orders" that answers with its name, on a wire of its own. */
async function startInstance(name: string, dataDir: string) {
  const state = { status: 200, hangs: false, calls: 0 };
  const app = await startApp((request, response) => {
    if (request.method === "HEAD") return response.end();
    state.calls++;
    if (state.hangs) return;
    response.statusCode = state.status;
    response.end(name);
  });
  const port = await freePort();
  const wire = await startWire(port);
  const mesh = { port, advertise: `127.0.0.1:${wire.port}` };
  const runtime = await startMeshRuntime("orders", dataDir, { appPort: app.port, mesh });
  return { name, state, wire, runtime, app };
}

function policy(spec: Record<string, unknown>): ResourceObject {
  return { apiVersion: "mecha.dev/v1", kind: "Policy", metadata: { name: "orders" }, spec };
}

/** A value of `/metrics`, by how its line begins. */
async function metric(runtime: RunningRuntime, ...starts: string[]): Promise<number> {
  const text = await (await fetch(`${runtime.endpoint}/metrics`)).text();
  const lines = text.split("\n").filter((line) => starts.some((start) => line.startsWith(start)));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
}

const attemptsToOrders = 'mecha_call_attempts_total{target="app/orders"';

const kinds = ["killed", "stopped", "answering 503", "never answering"] as const;

/** What goes wrong with instances, and for how many of how many at once. */
const disasters: { wrong: readonly (typeof kinds)[number][]; of: number }[] = [
  { wrong: ["killed"], of: 3 },
  { wrong: ["stopped"], of: 3 },
  { wrong: ["never answering"], of: 3 },
  { wrong: ["answering 503"], of: 3 },
  // Only one is well.
  { wrong: ["killed", "stopped", "answering 503"], of: 4 },
];

test.each(disasters)(
  "of $of instances under 500 calls/s these fail: $wrong; 99.9 % go well, within the budget",
  {
    timeout: 120_000,
  },
  async ({ wrong, of }) => {
    const dataDir = temporaryFolder();
    const instances = await Promise.all(Array.from({ length: of }, (_, index) => startInstance(`i${index}`, dataDir)));
    const resources = [policy({ target: { app: "orders" }, timeout: { perTry: "1500ms" } })];
    const shop = await startMeshRuntime("shop", dataDir, { resources });
    await findsApp(shop, "orders");
    const url = `${shop.endpoint}/invoke/orders/x`;
    // An instance that a stall of this machine got left out comes back: what is judged begins once all are called.
    const before = startLoad(url, 500);
    await until(() => instances.every(({ state }) => state.calls >= 100), "all instances are called", 30_000);
    await before.stop();
    const attemptsBefore = await metric(shop, attemptsToOrders);
    const load = startLoad(url, 500);
    await load.reaches(500);
    const failing = instances.slice(0, wrong.length);
    for (const [index, { wire, state }] of failing.entries()) {
      if (wrong[index] === "killed") wire.cut();
      if (wrong[index] === "stopped") wire.freeze();
      if (wrong[index] === "answering 503") state.status = 503;
      if (wrong[index] === "never answering") state.hangs = true;
    }
    await load.reaches(load.calls + 1_500);
    await load.stop();
    const ok = load.answers.get("200") ?? 0;
    const attempts = (await metric(shop, attemptsToOrders)) - attemptsBefore;
    const answers = [...load.answers].join(" ");
    expect(ok / load.calls, answers).toBeGreaterThanOrEqual(0.999);
    expect(attempts / load.calls, answers).toBeLessThanOrEqual(1.2);
  },
);

test.each([
  ["GET", undefined],
  ["POST", "an order"],
])("a rolling restart of all instances under load loses no %s", { timeout: 120_000 }, async (method, body) => {
  const dataDir = temporaryFolder();
  const instances = await Promise.all(["a", "b", "c"].map((name) => startInstance(name, dataDir)));
  const shop = await startMeshRuntime("shop", dataDir);
  await findsApp(shop, "orders");
  const names = new Map<string, number>();
  const load = startLoad(`${shop.endpoint}/invoke/orders/x`, 300, {
    method,
    ...(body !== undefined && { body }),
    nameOf(status, text) {
      names.set(text, (names.get(text) ?? 0) + 1);
      return String(status);
    },
  });
  await until(() => instances.every(({ name }) => names.has(name)), "all instances are called");
  for (const { name, runtime, app } of instances) {
    await runtime.close();
    app.close();
    app.closeIdleConnections();
    await startInstance(`${name}2`, dataDir);
    await until(() => (names.get(`${name}2`) ?? 0) > 50, "the new one is called");
  }
  await load.stop();
  expect([...load.answers]).toEqual([["200", load.calls]]);
});
