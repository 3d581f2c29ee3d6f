import { type GroupSettings, type PubSub, pubsubLimits } from "@mecha/component";
import { plainSettings, startComponent } from "@mecha/component/conformance";
import { missing, startNats } from "@mecha/test-servers";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { describe, expect, test } from "vitest";
import { nats } from "../src/index.js";
import { Names } from "../src/names.js";
import { forget } from "../src/retention.js";

const keyspace = "test";
const topic = "t";

async function publish(pubsub: PubSub, ...names: string[]): Promise<void> {
  const entries = names.map((id) => ({
    ...{ topic, source: "test", id, payload: new TextEncoder().encode(id), orderingKey: id },
    ...{ delayMs: 0, ttlMs: undefined, metadata: {} },
  }));
  for (const outcome of await pubsub.publish({ keyspace, entries })) if (outcome.type === "failed") throw outcome.error;
}

describe.skipIf(missing("nats"))("what is older than the retention", () => {
  test("is forgotten once every group has done it, and not before", { timeout: 60_000 }, async () => {
    await using server = await startNats();
    const component = await startComponent(nats, { url: server.url });
    const { pubsub } = component.blocks;
    if (pubsub === undefined) throw new Error("the component serves no pubsub");
    const open = async (group: string, settings: Partial<GroupSettings> = {}) => {
      const call = { keyspace, topic, group };
      const wanted = { ...plainSettings, ...settings };
      await pubsub.openGroup({ ...call, settings: wanted, defaults: wanted, update: false });
      return pubsub.consume(call);
    };
    const take = async (source: ReturnType<PubSub["consume"]>, count: number) => {
      const names: string[] = [];
      while (names.length < count) {
        const limits = { maxItems: count - names.length, maxBytes: pubsubLimits.maxEventBytes, leaseMs: 60_000 };
        const leases = await source.receive({ ...limits, signal: AbortSignal.timeout(20_000) });
        if (leases.length === 0) throw new Error(`${names.length} of ${count} events came`);
        names.push(...leases.map(({ payload }) => new TextDecoder().decode(payload)));
        await source.settle(leases.map(({ handle }) => ({ type: "ack", handle })));
      }
      return names;
    };
    const connection = await connect({ servers: server.url });
    const jsm = await jetstreamManager(connection);
    const { stream } = new Names("mecha").topic(keyspace, topic);
    const stored = async () => (await jsm.streams.info(stream)).state.messages;
    const later = () => Date.now() + 60_000;

    // Most partitions of the ordered group never see an event: they hold nothing back.
    const quick = await open("app/quick", { ordered: true });
    const slow = await open("app/slow");
    await publish(pubsub, "a", "b", "c");
    await take(quick, 3);
    await forget(jsm, stream, later());
    expect(await stored(), "the slow group has none yet").toBe(3);
    expect(await take(slow, 1)).toEqual(["a"]);
    await expect.poll(async () => forget(jsm, stream, later()).then(stored)).toBe(2);
    expect(await take(slow, 2)).toEqual(["b", "c"]);
    await expect.poll(async () => forget(jsm, stream, Date.now() - 60_000).then(stored)).toBe(2);
    const early = await open("app/early", { start: { type: "earliest" } });
    expect(await take(early, 2), "what is young enough is there for groups that begin with the past").toEqual([
      "b",
      "c",
    ]);
    await expect.poll(async () => forget(jsm, stream, later()).then(stored)).toBe(0);
    await publish(pubsub, "d");
    expect(await Promise.all([quick, slow, early].map((source) => take(source, 1)))).toEqual([["d"], ["d"], ["d"]]);
    await component.close();
    await connection.close();
  });
});
