import { pubsubConformance, startComponent } from "@mecha/component/conformance";
import { missing } from "@mecha/test-servers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { redis } from "../src/index.js";
import { ack, entryOf, GroupKit, nameOf, pubsubOf, take } from "./events.js";
import { command, eventually } from "./kit.js";
import { startCluster, type TestCluster } from "./start-cluster.js";

describe.skipIf(missing("redis"))("events in a Redis Cluster", () => {
  describe("conformance", () => {
    let cluster: TestCluster;
    beforeAll(async () => {
      cluster = await startCluster();
    });
    afterAll(() => cluster[Symbol.asyncDispose]());

    const cases = pubsubConformance({
      open: () => startComponent(redis, { url: cluster.primaries[0]?.url }),
      features: ["ORDERED", "DELAY", "REPLAY", "DEDUP", "TTL"],
      durability: "PROCESS",
      shared: true,
      holdsBack: "key",
    });
    for (const { name, run } of cases) test(name, run);

    test("topics are spread over the nodes, each in one slot, and one publish reaches several", async () => {
      const component = await startComponent(redis, { url: cluster.primaries[0]?.url, keyPrefix: "spread" });
      const topics = Array.from({ length: 20 }, (_, index) => `topic-${index}`);
      const groups = await Promise.all(topics.map((topic) => new GroupKit(pubsubOf(component), topic).open()));
      await groups[0]?.publish(...topics.map((topic) => entryOf(topic, topic)));
      for (const group of groups) {
        const source = group.consume();
        const leases = await take(source, 1);
        expect(leases.map(nameOf)).toEqual([group.topic]);
        expect(await ack(source, leases)).toEqual([true]);
        await source.close();
      }
      for (const { url } of cluster.primaries) {
        const [keys] = (await command(url, ["KEYS", "{spread:default:*}:log"])) as [string[]];
        expect(keys.length).toBeGreaterThan(0);
      }
      await component.close();
    });

    test("a transaction cannot reach a topic in another slot, so OUTBOX is not served", async () => {
      const component = await startComponent(redis, { url: cluster.primaries[0]?.url });
      expect(component.blocks.state?.features).not.toContain("OUTBOX");
      await component.close();
    });
  });

  test("a primary that dies is replaced by its replica, and events go on", { timeout: 60_000 }, async () => {
    await using cluster = await startCluster({ replica: true });
    const [first, second] = cluster.primaries;
    if (first === undefined || second === undefined) throw new Error("there are no nodes");
    const component = await startComponent(redis, { url: first.url, nodes: [second.url] });
    let topic = "";
    for (let index = 0; topic === ""; index++) {
      if ((await cluster.primaryOf(`{mecha:default:topic-${index}}`)) === first) topic = `topic-${index}`;
    }
    const group = await new GroupKit(pubsubOf(component), topic).open();
    await group.names("before");
    await eventually("the replica has it", async () => {
      const [replicas] = await command(first.url, ["WAIT", "1", "100"]);
      return replicas === 1;
    });
    await first.kill();
    const later = entryOf(topic, "after");
    await eventually(
      "publishing works again",
      () =>
        group.publish(later).then(
          () => true,
          () => false,
        ),
      30_000,
    );
    const source = group.consume();
    const seen = new Set<string>();
    await eventually("both come", async () => {
      const leases = await take(source, 10, 1_000).catch(() => []);
      await ack(source, leases).catch(() => []);
      for (const lease of leases) seen.add(nameOf(lease));
      return seen.size === 2;
    });
    await component.close();
  });
});
