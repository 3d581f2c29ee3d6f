import type { Component, GroupSettings, Lease, PubSub, PubSubEntry } from "@mecha/component";

export const call = { keyspace: "test", topic: "orders", group: "shop/mail" } as const;

export const settings: GroupSettings = {
  filter: "",
  ordered: false,
  start: { type: "new" },
  maxAttempts: 10,
  minBackoffMs: 1_000,
  maxBackoffMs: 300_000,
  ackTimeoutMs: 30_000,
};

export async function openGroup(pubsub: PubSub, changed: Partial<GroupSettings> = {}): Promise<void> {
  await pubsub.openGroup({ ...call, settings: { ...settings, ...changed }, defaults: settings, update: false });
}

/** An event, whose id and payload are its name. */
export function entry(name: string, changed: Partial<PubSubEntry> = {}): PubSubEntry {
  return {
    topic: call.topic,
    source: "test",
    id: name,
    payload: new TextEncoder().encode(name),
    orderingKey: "",
    delayMs: 0,
    ttlMs: undefined,
    metadata: {},
    ...changed,
  };
}

export const text = ({ payload }: Pick<Lease, "payload">) => new TextDecoder().decode(payload);

export function pubsubOf({ blocks: { pubsub } }: Component): PubSub {
  if (pubsub === undefined) throw new Error("the component serves no pubsub");
  return pubsub;
}
