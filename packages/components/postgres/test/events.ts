import assert from "node:assert/strict";
import type { Component, DeliverySource, GroupSettings, Lease, PubSub, PubSubEntry } from "@mecha/component";

export const call = { keyspace: "test", topic: "orders", group: "shop/mail" } as const;

const settings: GroupSettings = {
  filter: "",
  ordered: false,
  start: { type: "new" },
  maxAttempts: 10,
  minBackoffMs: 1_000,
  maxBackoffMs: 300_000,
  ackTimeoutMs: 30_000,
};

export async function openGroup(pubsub: PubSub, changed: Partial<GroupSettings> = {}, group: string = call.group) {
  const wanted = { ...settings, ...changed };
  await pubsub.openGroup({ ...call, group, settings: wanted, defaults: settings, update: false });
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

export async function publish(pubsub: PubSub, ...names: string[]): Promise<void> {
  await pubsub.publish({ keyspace: call.keyspace, entries: names.map((name) => entry(name)) });
}

export const text = ({ payload }: Pick<Lease, "payload">) => new TextDecoder().decode(payload);

export function pubsubOf({ blocks: { pubsub } }: Component): PubSub {
  assert(pubsub !== undefined);
  return pubsub;
}

const mebibyte = 1024 * 1024;

/** Takes what is there, without waiting. */
export const takeNow = (source: DeliverySource, maxItems = 100): Promise<readonly Lease[]> =>
  source.receive({ maxItems, maxBytes: 64 * mebibyte, leaseMs: 30_000, signal: AbortSignal.abort() });

/** Takes what is there or comes within a second. */
export const take = (source: DeliverySource, maxItems = 100): Promise<readonly Lease[]> =>
  source.receive({ maxItems, maxBytes: 64 * mebibyte, leaseMs: 30_000, signal: AbortSignal.timeout(1_000) });

export const settleAll = (source: DeliverySource, leases: readonly Lease[], type: "ack" | "release" = "ack") =>
  source.settle(leases.map(({ handle }) => ({ type, handle })));

export const namesOf = (count: number, prefix = "event") =>
  Array.from({ length: count }, (_, index) => `${prefix} ${index}`);
