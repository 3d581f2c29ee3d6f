import type { Component, PubSub } from "@mecha/component";
import { plainSettings } from "@mecha/component/conformance";

export const call = { keyspace: "test", topic: "t", group: "app/g" };

export function pubsubOf({ blocks: { pubsub } }: Component): PubSub {
  if (pubsub === undefined) throw new Error("the component serves no pubsub");
  return pubsub;
}

export async function openGroup(pubsub: PubSub, group = call): Promise<void> {
  await pubsub.openGroup({ ...group, settings: plainSettings, defaults: plainSettings, update: false });
}

/** Publishes an event, whose id and payload are its name. */
export async function publish(pubsub: PubSub, name: string, topic = call.topic) {
  const payload = new TextEncoder().encode(name);
  const entry = {
    topic,
    source: "test",
    id: name,
    payload,
    orderingKey: "",
    delayMs: 0,
    ttlMs: undefined,
    metadata: {},
  };
  const [outcome] = await pubsub.publish({ keyspace: call.keyspace, entries: [entry] });
  if (outcome?.type === "failed") throw outcome.error;
}

/** Takes one event within 20 s. */
export async function take(pubsub: PubSub) {
  const signal = AbortSignal.timeout(20_000);
  const source = pubsub.consume(call);
  const [lease] = await source.receive({ maxItems: 1, maxBytes: 1_000_000, leaseMs: 60_000, signal });
  return { source, lease };
}
