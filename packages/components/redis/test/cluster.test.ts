import { ComponentError, type StateStore } from "@mecha/component";
import { startComponent, stateConformance } from "@mecha/component/conformance";
import { missing } from "@mecha/test-servers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { redis } from "../src/index.js";
import { command, deleteOf, eventually, forgetDeletions, setOf, stateOf, textOf, write } from "./kit.js";
import { startCluster, type TestCluster } from "./start-cluster.js";

const history = 500;

/** Watches a keyspace in the background and keeps what is there. */
function follow(state: StateStore, keyspace: string) {
  const stop = new AbortController();
  const view = new Map<string, string>();
  const done = (async () => {
    const call = { keyspace, target: { prefix: "" }, resumeToken: undefined, signal: stop.signal };
    for await (const batch of state.watch(call)) {
      for (const change of batch) {
        if (change.type === "item") view.set(change.item.key, textOf(change.item.value));
        if (change.type === "deleted") view.delete(change.key);
      }
    }
  })();
  return {
    view,
    stop() {
      stop.abort();
      return done;
    },
  };
}

describe.skipIf(missing("redis"))("Redis Cluster", () => {
  describe("conformance", () => {
    let cluster: TestCluster;
    beforeAll(async () => {
      cluster = await startCluster();
    });
    afterAll(() => cluster[Symbol.asyncDispose]());

    const cases = stateConformance({
      open: () => startComponent(redis, { url: cluster.primaries[0]?.url, history }),
      features: ["TRANSACT", "WATCH", "TTL"],
      durability: "PROCESS",
      shared: true,
      expireResumeTokens: (component, keyspace) => forgetDeletions(component, keyspace, history),
    });
    for (const { name, run } of cases) test(name, run);

    test("the keyspaces are spread over the nodes, each in one slot", async () => {
      const component = await startComponent(redis, { url: cluster.primaries[0]?.url, keyPrefix: "spread" });
      for (let index = 0; index < 20; index++)
        await write(stateOf(component), `app-${index}`, setOf("key"), setOf("other"));
      for (const { url } of cluster.primaries) {
        const [keys] = (await command(url, ["KEYS", "{spread:*}:item:*"])) as [string[]];
        expect(keys.length).toBeGreaterThan(0);
      }
      await component.close();
    });

    test("starts on any node that is there", async () => {
      const [, second] = cluster.primaries;
      const config = { url: "redis://127.0.0.1:1", nodes: [second?.url], keyPrefix: "any" };
      const component = await startComponent(redis, config);
      await write(stateOf(component), "app", setOf("key"));
      await component.close();
    });

    test("a slot that moves to another node under load: no write is lost, watches go on", {
      timeout: 60_000,
    }, async () => {
      const keyspace = "test/moving";
      const tag = `{mecha:${keyspace}}`;
      const component = await startComponent(redis, { url: cluster.primaries[0]?.url });
      const state = stateOf(component);
      const source = await cluster.primaryOf(tag);
      const target = cluster.primaries.find((server) => server !== source);
      if (target === undefined) throw new Error("there is no other node");
      const list = async () => {
        const call = { keyspace, prefix: "", after: undefined, limit: 1000, maxBytes: 1_000_000, keysOnly: false };
        return (await state.list(call)).items;
      };
      const following = follow(state, keyspace);
      const acknowledged = new Map<string, string>();
      let running: boolean = true;
      const callers = Array.from({ length: 8 }, async (_, index) => {
        for (let round = 0; running; round++) {
          const key = `key-${index}-${round % 10}`;
          const done = await write(state, keyspace, setOf(key, String(round))).then(
            () => true,
            () => false,
          );
          if (done) acknowledged.set(key, String(round));
          else await new Promise((resolve) => setTimeout(resolve, 5));
        }
      });
      // So that every key of the keyspace's layout is there: a slot is then moved in the most awkward order.
      await write(state, keyspace, setOf("timed", "", 3_600_000), setOf("deleted"));
      await write(state, keyspace, deleteOf("deleted"));
      await eventually("the load runs", () => acknowledged.size === 80);
      const [[slot], [sourceId], [targetId]] = (await Promise.all([
        command(source.url, ["CLUSTER", "KEYSLOT", tag]),
        command(source.url, ["CLUSTER", "MYID"]),
        command(target.url, ["CLUSTER", "MYID"]),
      ])) as [[number], [string], [string]];
      await command(target.url, ["CLUSTER", "SETSLOT", String(slot), "IMPORTING", sourceId]);
      await command(source.url, ["CLUSTER", "SETSLOT", String(slot), "MIGRATING", targetId]);
      // Key by key, so that the slot is in two halves for a while.
      for (;;) {
        const [keys] = (await command(source.url, ["CLUSTER", "GETKEYSINSLOT", String(slot), "10"])) as [string[]];
        if (keys.length === 0) break;
        await command(source.url, ["MIGRATE", "127.0.0.1", String(target.port), "", "0", "5000", "KEYS", ...keys]);
        const page = await list().catch((error: unknown) => error);
        if (!(page instanceof ComponentError && page.reason === "COMPONENT_UNAVAILABLE")) expect(page).toHaveLength(81);
      }
      for (const { url } of cluster.primaries)
        await command(url, ["CLUSTER", "SETSLOT", String(slot), "NODE", targetId]);
      const before = new Map(acknowledged);
      acknowledged.clear();
      await eventually("writes go on", () => acknowledged.size === 80);
      running = false;
      await Promise.all(callers);
      for (const [key, round] of [...before, ...acknowledged]) {
        const item = await state.get({ keyspace, key });
        expect(Number(textOf(item?.value))).toBeGreaterThanOrEqual(Number(round));
      }
      await eventually("the watch has everything", async () => {
        const items = await list();
        return items.length === 81 && items.every(({ key, value }) => following.view.get(key) === textOf(value));
      });
      await following.stop();
      await component.close();
    });
  });

  test("a primary that dies is replaced by its replica, without a restart of the component", {
    timeout: 60_000,
  }, async () => {
    await using cluster = await startCluster({ replica: true });
    const [first, second] = cluster.primaries;
    if (first === undefined || second === undefined) throw new Error("there are no nodes");
    const component = await startComponent(redis, { url: first.url, nodes: [second.url] });
    const state = stateOf(component);
    let keyspace = "";
    for (let index = 0; keyspace === ""; index++) {
      if ((await cluster.primaryOf(`{mecha:app-${index}}`)) === first) keyspace = `app-${index}`;
    }
    await write(state, keyspace, setOf("a", "1"));
    const following = follow(state, keyspace);
    await eventually("the watch reports what is there", () => following.view.get("a") === "1");
    await eventually("the replica has it", async () => {
      const [offsets] = await command(first.url, ["WAIT", "1", "100"]);
      return offsets === 1;
    });
    await first.kill();
    await eventually(
      "writes work again",
      () =>
        write(state, keyspace, setOf("b", "2")).then(
          () => true,
          () => false,
        ),
      30_000,
    );
    expect(textOf((await state.get({ keyspace, key: "a" }))?.value)).toBe("1");
    await eventually("the watch goes on", () => following.view.get("b") === "2");
    await following.stop();
    await component.close();
  });
});
