import { strict as assert } from "node:assert";
import type { Component, Discovery } from "@mecha/component";
import { discoveryConformance, startComponent } from "@mecha/component/conformance";
import { missing } from "@mecha/test-servers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { redis } from "../src/index.js";
import { command, eventually } from "./kit.js";
import { startCluster, type TestCluster } from "./start-cluster.js";

const instance = { id: "i-1", app: "orders", address: "10.0.0.1:3601", version: "", zone: "", weight: 100 };

function discoveryOf({ blocks: { discovery } }: Component): Discovery {
  assert(discovery, "the component serves discovery");
  return discovery;
}

describe.skipIf(missing("redis"))("discovery in a Redis Cluster", { timeout: 60_000 }, () => {
  describe("conformance", () => {
    let cluster: TestCluster;
    beforeAll(async () => {
      cluster = await startCluster();
    });
    afterAll(() => cluster[Symbol.asyncDispose]());

    const cases = discoveryConformance({
      features: ["REGISTER", "LIST"],
      open: () => startComponent(redis, { url: cluster.primaries[0]?.url }),
    });
    for (const { name, run } of cases) test(name, run);

    test("namespaces are spread over the nodes, each in one slot", async () => {
      const component = await startComponent(redis, { url: cluster.primaries[0]?.url, keyPrefix: "spread" });
      for (let index = 0; index < 20; index++) {
        await discoveryOf(component).leases?.register({ namespace: `n-${index}`, instance, ttlMs: 60_000 });
      }
      for (const { url } of cluster.primaries) {
        const [keys] = (await command(url, ["KEYS", "{spread:discovery:*}:apps"])) as [string[]];
        expect(keys.length).toBeGreaterThan(0);
      }
      await component.close();
    });
  });

  test("a primary that dies is replaced by its replica: a watch goes on, and who is there stays", async () => {
    await using cluster = await startCluster({ replica: true });
    const [first, second] = cluster.primaries;
    if (first === undefined || second === undefined) throw new Error("there are no nodes");
    const component = await startComponent(redis, { url: first.url, nodes: [second.url] });
    const discovery = discoveryOf(component);
    let namespace = "";
    for (let index = 0; namespace === ""; index++) {
      if ((await cluster.primaryOf(`{mecha:discovery:n-${index}}`)) === first) namespace = `n-${index}`;
    }
    await discovery.leases?.register({ namespace, instance, ttlMs: 60_000 });
    const stop = new AbortController();
    const told: (string | undefined)[] = [];
    const watching = (async () => {
      for await (const found of discovery.watch({ namespace, app: "orders", signal: stop.signal })) {
        told.push(found?.map(({ id }) => id).join());
      }
    })();
    await eventually("it is told", () => told.at(-1) === "i-1");
    await eventually("the replica has it", async () => {
      const [offsets] = await command(first.url, ["WAIT", "1", "100"]);
      return offsets === 1;
    });
    await first.kill();
    const another = { ...instance, id: "i-2" };
    await eventually(
      "registrations work again",
      async () => {
        try {
          await discovery.leases?.register({ namespace, instance: another, ttlMs: 60_000 });
          return true;
        } catch {
          return false;
        }
      },
      30_000,
    );
    await eventually("the watch goes on", () => told.at(-1) === "i-1,i-2");
    expect(told).toEqual(["i-1", "i-1,i-2"]);
    stop.abort();
    await watching;
    await component.close();
  });
});
