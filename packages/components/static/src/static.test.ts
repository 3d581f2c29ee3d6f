import { readFile } from "node:fs/promises";
import { withOptionsTable } from "@mecha/component";
import { discoveryConformance, startComponent } from "@mecha/component/conformance";
import { describe, expect, test } from "vitest";
import { staticApps } from "./index.js";

const apps = {
  orders: ["10.0.0.2:3601", "10.0.0.1:3601"],
  billing: [],
  reviews: [{ address: "[::1]:1", version: "2", weight: 10 }],
};

const cases = discoveryConformance({
  features: ["LIST"],
  open: () => startComponent(staticApps, { apps }),
  known: { namespace: "default", app: "orders", addresses: apps.orders },
});
describe("conformance", () => {
  for (const { name, run } of cases) test(name, run);
});

async function open(config: unknown) {
  const { discovery } = (await startComponent(staticApps, config)).blocks;
  if (discovery === undefined) throw new Error("the component serves no discovery");
  return discovery;
}

const { signal } = new AbortController();

test("an app may be known without an instance; what is said of an instance is told", async () => {
  const discovery = await open({ apps });
  expect(await discovery.resolve({ namespace: "any", app: "billing", signal })).toEqual([]);
  expect(await discovery.resolve({ namespace: "any", app: "reviews", signal })).toEqual([
    { id: "[::1]:1", app: "reviews", address: "[::1]:1", version: "2", zone: "", weight: 10 },
  ]);
  expect(await discovery.list?.({ namespace: "any", signal })).toEqual(["billing", "orders", "reviews"]);
});

test.each([
  [{ apps: { Orders: [] } }, "app id"],
  [{ apps: { orders: ["10.0.0.1"] } }, "host:port"],
  [{ apps: { orders: ["http://10.0.0.1:1"] } }, "host:port"],
  [{ apps: { orders: [{ address: "a:1", weight: 1001 }] } }, "weight"],
  [{}, "apps"],
])("%j is refused", async (config, words) => {
  await expect(open(config)).rejects.toThrow(words);
});

test("the README's options are those of the schema", async () => {
  const readme = new URL("../README.md", import.meta.url);
  await expect(withOptionsTable(await readFile(readme, "utf8"), staticApps)).toMatchFileSnapshot(readme.pathname);
});
