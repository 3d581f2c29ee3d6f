import { strict as assert } from "node:assert";
import type { Component, DeliverySource, GroupCall, GroupSettings, Lease, PubSub, PubSubEntry } from "@mecha/component";

/** The settings of a group that asks for nothing special. */
export const plainGroup: GroupSettings = {
  filter: "",
  ordered: false,
  start: { type: "new" },
  maxAttempts: 10,
  minBackoffMs: 1_000,
  maxBackoffMs: 300_000,
  ackTimeoutMs: 30_000,
};

/** The pubsub block of a component. */
export function pubsubOf({ blocks: { pubsub } }: Component): PubSub {
  assert(pubsub, "the component serves pubsub");
  return pubsub;
}

let entries = 0;

/** An entry to publish; every one has an id of its own unless it is given one. */
export function entryOf(topic: string, payload: string | Uint8Array, options: Partial<PubSubEntry> = {}): PubSubEntry {
  return {
    topic,
    source: `test-${process.pid}`,
    id: String(++entries),
    payload: typeof payload === "string" ? Buffer.from(payload) : payload,
    orderingKey: "",
    delayMs: 0,
    ttlMs: undefined,
    metadata: {},
    ...options,
  };
}

export const nameOf = ({ payload }: { readonly payload: Uint8Array }) => Buffer.from(payload).toString();

/** One group of one topic. */
export class GroupKit {
  readonly pubsub: PubSub;
  readonly call: GroupCall;

  constructor(pubsub: PubSub, topic = "t", group = "app/g") {
    this.pubsub = pubsub;
    this.call = { keyspace: "default", topic, group };
  }

  get topic(): string {
    return this.call.topic;
  }

  async open(settings: Partial<GroupSettings> = {}): Promise<this> {
    const wanted = { ...plainGroup, ...settings };
    await this.pubsub.openGroup({ ...this.call, settings: wanted, defaults: wanted, update: false });
    return this;
  }

  consume(): DeliverySource {
    return this.pubsub.consume(this.call);
  }

  /** Publishes, each of which must succeed. */
  async publish(...entries: PubSubEntry[]): Promise<void> {
    for (const outcome of await this.pubsub.publish({ keyspace: this.call.keyspace, entries })) {
      if (outcome.type === "failed") throw outcome.error;
    }
  }

  names(...names: string[]): Promise<void> {
    return this.publish(...names.map((name) => entryOf(this.topic, name)));
  }
}

/** Takes what comes within so many ms. */
export function take(source: DeliverySource, maxItems = 100, withinMs = 10_000, leaseMs = 30_000) {
  return source.receive({ maxItems, maxBytes: 64 * 1024 * 1024, leaseMs, signal: AbortSignal.timeout(withinMs) });
}

/** Takes what there is. */
export function takeNow(source: DeliverySource, maxItems = 100, leaseMs = 30_000) {
  return source.receive({ maxItems, maxBytes: 64 * 1024 * 1024, leaseMs, signal: AbortSignal.abort() });
}

export async function ack(source: DeliverySource, leases: readonly Lease[]): Promise<readonly boolean[]> {
  return source.settle(leases.map(({ handle }) => ({ type: "ack", handle })));
}
