import {
  type Clock,
  ComponentError,
  type DeliverySource,
  type GroupCall,
  type GroupSettings,
  type PublishOutcome,
  type PubSub,
  type PubSubEntry,
  type PubSubFeature,
  pubsubLimits,
  requireSameGroup,
  setFaultyAside,
} from "@mecha/component";
import type { MemoryConfig } from "./config.js";
import { Group, type Holding, type StoredEvent } from "./group.js";

export const features: readonly PubSubFeature[] = ["ORDERED", "DELAY", "REPLAY", "DEDUP", "TTL"];

/** What an event costs beside its payload, estimated. */
const overheadBytes = 300;

const full = (maxBytes: number) =>
  new ComponentError(
    "STORAGE_FULL",
    `the memory component holds ${maxBytes} bytes of events, its limit; consume some, or raise maxBytes`,
  );

/** One topic: its groups, what it retains, and the ids that it has seen. */
interface Topic {
  readonly groups: Map<string, Group>;
  readonly retained: Set<StoredEvent>;
  /** (source, id) → when it was published; in that order, so that the oldest come first. */
  readonly seen: Map<string, number>;
}

/** What a transaction of the store needs to publish. */
export interface Publisher {
  /** Why an entry cannot be published; undefined if it can. */
  faultOf(entry: PubSubEntry): ComponentError | undefined;
  /** Publishes an entry that can be. */
  publish(keyspace: string, entry: PubSubEntry): void;
}

/** A pubsub in this process's memory. */
export function createMemoryPubSub(
  { retainedEvents, maxBytes }: MemoryConfig,
  clock: Clock,
): { pubsub: PubSub; publisher: Publisher; close(): void } {
  const topics = new Map<string, Topic>();
  let sequence = 0;
  let bytes = 0;

  const holding: Holding = {
    hold(event) {
      if (event.holders === 0) bytes += event.payload.byteLength + overheadBytes;
      event.holders += 1;
    },
    release(event) {
      event.holders -= 1;
      if (event.holders === 0) bytes -= event.payload.byteLength + overheadBytes;
    },
  };

  const topicOf = (keyspace: string, name: string): Topic => {
    const id = `${keyspace}\n${name}`;
    let topic = topics.get(id);
    if (topic === undefined) {
      topic = { groups: new Map(), retained: new Set(), seen: new Map() };
      topics.set(id, topic);
    }
    return topic;
  };

  const find = ({ keyspace, topic, group }: GroupCall) => topics.get(`${keyspace}\n${topic}`)?.groups.get(group);

  const groupOf = (call: GroupCall): Group => {
    const group = find(call);
    if (group === undefined) throw new Error(`group ${call.group} of topic ${call.topic} was not opened`);
    return group;
  };

  /** Keeps an event for groups that begin with the past, instead of the oldest one. */
  const retain = ({ retained }: Topic, event: StoredEvent) => {
    holding.hold(event);
    retained.add(event);
    if (retained.size <= retainedEvents) return;
    for (const oldest of retained) {
      retained.delete(oldest);
      holding.release(oldest);
      return;
    }
  };

  const faultOf = ({ payload, metadata }: PubSubEntry): ComponentError | undefined => {
    const unknown = Object.keys(metadata)[0];
    if (unknown !== undefined) {
      const message = `the memory component knows no metadata; remove "${unknown}"`;
      return new ComponentError("BAD_REQUEST", message, { metadata: { key: unknown } });
    }
    return bytes + payload.byteLength + overheadBytes > maxBytes ? full(maxBytes) : undefined;
  };

  const publishOne = (keyspace: string, entry: PubSubEntry): PublishOutcome => {
    const topic = topicOf(keyspace, entry.topic);
    const now = clock.now();
    if (isDuplicate(topic, `${entry.source}\n${entry.id}`, now)) return { type: "published", duplicate: true };
    sequence += 1;
    const event: StoredEvent = {
      sequence,
      payload: entry.payload,
      orderingKey: entry.orderingKey,
      publishTime: now,
      dueTime: now + entry.delayMs,
      expireTime: now + (entry.ttlMs ?? Number.POSITIVE_INFINITY),
      holders: 0,
    };
    retain(topic, event);
    for (const group of topic.groups.values()) group.add(event);
    return { type: "published", duplicate: false };
  };

  const pubsub: PubSub = {
    features,
    durability: "PROCESS",
    maxEventBytes: pubsubLimits.maxEventBytes,

    publish({ keyspace, entries }) {
      const { sound, merge } = setFaultyAside(entries, faultOf);
      return merge(sound.map((entry) => publishOne(keyspace, entry)));
    },

    openGroup({ keyspace, topic: name, group: groupName, settings, defaults, update }): GroupSettings {
      const topic = topicOf(keyspace, name);
      const existing = topic.groups.get(groupName);
      if (existing === undefined) {
        const group = new Group(settings ?? defaults, clock, holding);
        for (const event of replayed(topic, group.settings, clock.now())) group.add(event);
        topic.groups.set(groupName, group);
        return group.settings;
      }
      if (settings !== undefined) {
        requireSameGroup(groupName, existing.settings, settings, update);
        existing.settings = settings;
      }
      return existing.settings;
    },

    settingsOf: (call) => find(call)?.settings,

    deleteGroup(call) {
      const group = find(call);
      topics.get(`${call.keyspace}\n${call.topic}`)?.groups.delete(call.group);
      group?.delete();
      return group !== undefined;
    },

    backlog: (call) => find(call)?.backlog ?? 0,

    consume: (call) => consume(groupOf(call)),
    listDeadLetters: ({ after, limit, maxBytes, ...call }) =>
      find(call)?.deadLetters(after, limit, maxBytes) ?? { deadLetters: [], more: false },
    requeueDeadLetters: ({ ids, ...call }) => find(call)?.removeDeadLetters(ids, true) ?? 0,
    dropDeadLetters: ({ ids, ...call }) => find(call)?.removeDeadLetters(ids, false) ?? 0,
  };

  return {
    pubsub,
    publisher: { faultOf, publish: publishOne },
    close() {
      for (const { groups } of topics.values()) for (const group of groups.values()) group.close();
    },
  };
}

/** Whether (source, id) was seen within the last 10 minutes; remembers it if not. */
function isDuplicate({ seen }: Topic, id: string, now: number): boolean {
  for (const [oldest, time] of seen) {
    if (time > now - pubsubLimits.dedupMs) break;
    seen.delete(oldest);
  }
  if (seen.has(id)) return true;
  seen.set(id, now);
  return false;
}

/** What a new group is given of what was published before it. */
function replayed({ retained }: Topic, { start }: GroupSettings, now: number): StoredEvent[] {
  if (start.type === "new") return [];
  const from = start.type === "earliest" ? Number.NEGATIVE_INFINITY : start.time;
  return [...retained].filter((event) => event.publishTime >= from && event.expireTime > now);
}

/** One consumer of a group. */
function consume(group: Group): DeliverySource {
  const held = new Set<string>();
  return {
    async receive({ maxItems, maxBytes, leaseMs, signal }) {
      for (;;) {
        const leases = group.take(maxItems, maxBytes, leaseMs);
        for (const lease of leases) held.add(lease.handle);
        if (leases.length > 0 || signal.aborted) return leases;
        await group.wait(signal);
      }
    },
    settle(settlements) {
      return settlements.map((settlement) => {
        held.delete(settlement.handle);
        return group.settle(settlement);
      });
    },
    extend: (handles, leaseMs) => handles.map((handle) => group.extend(handle, leaseMs)),
    async close() {
      for (const handle of held) group.settle({ type: "release", handle });
    },
  };
}
