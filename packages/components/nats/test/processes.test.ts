import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Component, PubSub } from "@mecha/component";
import { plainSettings, startComponent } from "@mecha/component/conformance";
import { missing, startNats } from "@mecha/test-servers";
import { describe, expect, test } from "vitest";
import { nats } from "../src/index.js";

const call = { keyspace: "test", topic: "t", group: "app/g" };
const redeliverAfterMs = 1_000;

function pubsubOf({ blocks: { pubsub } }: Component): PubSub {
  if (pubsub === undefined) throw new Error("the component serves no pubsub");
  return pubsub;
}

const publish = (pubsub: PubSub, ...names: string[]) =>
  pubsub.publish({
    keyspace: call.keyspace,
    entries: names.map((id) => ({
      ...{ topic: call.topic, source: "test", id, payload: new TextEncoder().encode(id) },
      ...{ orderingKey: "", delayMs: 0, ttlMs: undefined, metadata: {} },
    })),
  });

const openGroup = (pubsub: PubSub) =>
  pubsub.openGroup({ ...call, settings: plainSettings, defaults: plainSettings, update: false });

const receive = (pubsub: PubSub, maxItems: number, leaseMs = 60_000) =>
  pubsub.consume(call).receive({ maxItems, maxBytes: 1_000_000, leaseMs, signal: AbortSignal.timeout(20_000) });

describe.skipIf(missing("nats"))("several processes", () => {
  test("get what one held that was killed, long before its leases end", { timeout: 60_000 }, async () => {
    await using server = await startNats();
    const component = await startComponent(nats, { url: server.url, redeliverAfterMs });
    const pubsub = pubsubOf(component);
    await openGroup(pubsub);
    await publish(pubsub, "held");
    const program = join(import.meta.dirname, "holder.ts");
    const child = spawn(process.execPath, [program, server.url], { stdio: ["ignore", "pipe", "inherit"] });
    const [output] = await once(child.stdout, "data");
    expect(String(output)).toBe("held 1\n");
    child.kill("SIGKILL");
    await once(child, "exit");
    const [lease] = await receive(pubsub, 1);
    expect(lease?.attempt).toBe(2);
    await component.close();
  });

  test("settle and prolong each other's leases, and know none of one that has gone", { timeout: 60_000 }, async () => {
    await using server = await startNats();
    const open = () => startComponent(nats, { url: server.url, redeliverAfterMs });
    const [first, second] = [await open(), await open()];
    const [here, there] = [pubsubOf(first), pubsubOf(second)];
    await openGroup(here);
    await publish(here, "a", "b", "c");
    const leases = await receive(here, 3, 5_000);
    const handles = leases.map(({ handle }) => handle);
    const [a = "", b = "", c = ""] = handles;
    const other = there.consume(call);
    expect(await other.extend([a, b], 30_000)).toEqual([true, true]);
    expect(await other.settle([{ type: "ack", handle: a }])).toEqual([true]);
    expect(await other.settle([{ type: "ack", handle: a }])).toEqual([false]);
    const stranger = here.consume({ ...call, group: "app/stranger" });
    expect(await stranger.settle([{ type: "ack", handle: b }]), "of another group").toEqual([false]);
    await first.close();
    expect(await other.settle([{ type: "ack", handle: c }]), "it was handed back").toEqual([false]);
    const [again] = await receive(there, 1);
    expect(again?.attempt, "at no cost of an attempt").toBe(1);
    await second.close();
  });

  test("keep a lease that is longer than JetStream's patience", { timeout: 60_000 }, async () => {
    await using server = await startNats();
    const component = await startComponent(nats, { url: server.url, redeliverAfterMs });
    const pubsub = pubsubOf(component);
    await openGroup(pubsub);
    await publish(pubsub, "long");
    const source = pubsub.consume(call);
    const limits = { maxItems: 1, maxBytes: 1_000_000, leaseMs: 60_000 };
    const [lease] = await source.receive({ ...limits, signal: AbortSignal.timeout(10_000) });
    expect(await source.receive({ ...limits, signal: AbortSignal.timeout(4 * redeliverAfterMs) })).toEqual([]);
    expect(await source.settle([{ type: "ack", handle: lease?.handle ?? "" }])).toEqual([true]);
    await component.close();
  });
});
