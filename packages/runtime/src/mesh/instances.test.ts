import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { temporaryFolder, until } from "../../test/helpers.js";
import { findsApp, type RunningRuntime, startApp, startMeshRuntime } from "../../test/mesh.js";

/** Several instances of "orders", each of which answers with its name, and a runtime of "shop" that finds them all. */
async function startInstances(names: readonly string[]) {
  const dataDir = temporaryFolder();
  const instances = new Map<string, RunningRuntime>();
  for (const name of names) {
    const app = await startApp((_request, response) => response.end(name));
    instances.set(name, await startMeshRuntime("orders", dataDir, { appPort: app.port }));
  }
  const shop = await startMeshRuntime("shop", dataDir);
  await findsApp(shop, "orders");
  const call = async (init?: RequestInit) => {
    const response = await fetch(`${shop.endpoint}/invoke/orders/x`, init);
    return response.status === 200 ? await response.text() : `${response.status}: ${await response.text()}`;
  };
  const seen = new Set<string>();
  await until(async () => seen.add(await call()).size === names.length, "all instances are found");
  return { dataDir, instances, call };
}

test("calls are spread over the instances", async () => {
  const { call } = await startInstances(["a", "b", "c"]);
  const counts = new Map<string, number>();
  for (const name of await Promise.all(Array.from({ length: 300 }, () => call()))) {
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  expect(new Set(counts.keys())).toEqual(new Set(["a", "b", "c"]));
  for (const count of counts.values()) expect(count).toBeGreaterThan(40);
});

test("an instance that drains under load loses no call, whether it has a body or not", {
  timeout: 120_000,
}, async () => {
  const { instances, call } = await startInstances(["a", "b"]);
  let stop = false;
  const answers = new Map<string, number>();
  const caller = async (init: RequestInit | undefined) => {
    while (!stop) {
      const answer = await call(init);
      answers.set(answer, (answers.get(answer) ?? 0) + 1);
    }
  };
  const callers = [undefined, undefined, { method: "POST", body: "x" }, { method: "POST", body: "y" }].map(caller);
  await until(() => (answers.get("a") ?? 0) > 20 && (answers.get("b") ?? 0) > 20, "both are called");
  await instances.get("a")?.close();
  const [before = 0, other = 0] = [answers.get("a"), answers.get("b")];
  await until(() => (answers.get("b") ?? 0) > other + 100, "the other one goes on");
  expect(answers.get("a")).toBe(before);
  stop = true;
  await Promise.all(callers);
  expect(new Set(answers.keys())).toEqual(new Set(["a", "b"]));
});

test("an instance that is gone without a word is passed over, also for calls with a body", async () => {
  const { dataDir, call } = await startInstances(["a"]);
  const db = new DatabaseSync(join(dataDir, "mecha.db"));
  // Ports that nobody listens on, with leases that have not ended: as after a SIGKILL.
  for (const port of [1, 2, 3]) {
    db.prepare("INSERT INTO discovery_instance VALUES ('default', 'orders', ?, ?, '', '', 100, ?)").run(
      `killed-${port}`,
      `127.0.0.1:${port}`,
      Date.now() + 60_000,
    );
  }
  db.close();
  const inits = Array.from({ length: 60 }, (_, index) => (index % 2 === 0 ? undefined : { method: "POST", body: "x" }));
  expect(new Set(await Promise.all(inits.map(call)))).toEqual(new Set(["a"]));
});
