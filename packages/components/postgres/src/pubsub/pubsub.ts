import {
  ComponentError,
  type DeliverySource,
  type GroupCall,
  type Logger,
  type PubSub,
  type PubSubEntry,
  type PubSubFeature,
  pubsubLimits,
  requirePublishable,
  setFaultyAside,
} from "@mecha/component";
import type { Connection } from "../connection.js";
import type { EncodePublishes } from "../state/publishing-writes.js";
import { Arrivals } from "./arrivals.js";
import { type Claims, createClaims } from "./claims.js";
import { createDeadLetters } from "./dead-letters.js";
import { createGroups, type StoredGroup } from "./groups.js";
import { createPublisher, encodeEntries, type TopicEntry } from "./publish.js";
import { Retention } from "./retention.js";
import { createSettlements } from "./settlements.js";
import { createSource } from "./source.js";
import { createTopics } from "./topics.js";

/** All of them, natively. */
export const pubsubFeatures: readonly PubSubFeature[] = ["ORDERED", "DELAY", "REPLAY", "DEDUP", "TTL"];

export interface PubSubOptions {
  readonly retentionMs: number;
  readonly logger: Logger;
}

/** The pubsub block over a connection, and what writes of the state block publish by. */
export function createPubSub(
  connection: Connection,
  options: PubSubOptions,
): { pubsub: PubSub; encodePublishes: EncodePublishes; close(): Promise<void> } {
  const channel = `${connection.schema}_pubsub`;
  const topics = createTopics(connection);
  const groups = createGroups(connection, topics);
  const publisher = createPublisher(connection);
  const settlements = createSettlements(connection);
  const deadLetters = createDeadLetters(connection);
  const retention = new Retention(connection, options);
  const arrivals = new Arrivals(connection, (error) => {
    // What is away comes back; who waits goes on waiting.
    options.logger.debug("cannot look for events; will try again", { error: String(error) });
  });
  const sources = new Set<DeliverySource>();
  const claims = new Map<number, { readonly claims: Claims; consumers: number }>();
  let isListening: boolean = false;
  connection.onReturn(() => arrivals.look());

  /** Others may have something to take that they had not. */
  const tell = () => {
    arrivals.look();
    connection.notifications.notify(channel);
  };

  /** The claims of a group, for one consumer more. */
  function joinClaims(group: StoredGroup): Claims {
    const shared = claims.get(group.id) ?? { claims: createClaims(connection, group, settlements), consumers: 0 };
    shared.consumers++;
    claims.set(group.id, shared);
    return shared.claims;
  }

  function leaveClaims({ id }: StoredGroup): void {
    const shared = claims.get(id);
    if (shared !== undefined && --shared.consumers === 0) claims.delete(id);
  }

  async function takeOut(call: GroupCall, ids: readonly string[] | undefined, requeue: boolean): Promise<number> {
    const group = await groups.find(call);
    if (group === undefined) return 0;
    const count = await deadLetters.takeOut(group, ids, requeue);
    if (requeue && count > 0) tell();
    return count;
  }

  const place = async (keyspace: string, entry: PubSubEntry): Promise<TopicEntry> => ({
    topic: await topics.idOf(keyspace, entry.topic),
    entry,
  });

  /** Events are committed: wakes who waits for them. */
  function published(entries: readonly TopicEntry[]): void {
    for (const topic of new Set(entries.map(({ topic }) => topic))) arrivals.published(topic);
    connection.notifications.notify(channel);
  }

  const pubsub: PubSub = {
    features: pubsubFeatures,
    get durability() {
      return connection.durability;
    },
    maxEventBytes: pubsubLimits.maxEventBytes,

    async publish({ keyspace, entries, signal }) {
      const { sound, merge } = setFaultyAside(entries, faultOf);
      if (sound.length === 0) return merge([]);
      const placed = await Promise.all(sound.map((entry) => place(keyspace, entry)));
      const duplicates = await publisher.publish(placed, signal);
      published(placed);
      return merge(duplicates.map((duplicate) => ({ type: "published", duplicate })));
    },

    openGroup: (call) => groups.open(call),
    settingsOf: async (call) => (await groups.find(call))?.settings,
    deleteGroup: (call) => groups.delete(call),
    backlog: (call) => groups.backlog(call),

    consume(call) {
      if (!isListening) connection.notifications.listen(channel, () => arrivals.look());
      isListening = true;
      const source: DeliverySource = createSource(call, {
        arrivals,
        settlements,
        find: groups.find,
        joinClaims,
        tell,
        onClose(group) {
          sources.delete(source);
          if (group !== undefined) leaveClaims(group);
        },
      });
      sources.add(source);
      return source;
    },

    async listDeadLetters(call) {
      const group = await groups.find(call);
      return group === undefined ? { deadLetters: [], more: false } : deadLetters.list(group, call);
    },
    requeueDeadLetters: ({ ids, ...call }) => takeOut(call, ids, true),
    dropDeadLetters: ({ ids, ...call }) => takeOut(call, ids, false),
  };

  return {
    pubsub,
    async encodePublishes(publishes) {
      requirePublishable(publishes, faultOf);
      const placed = await Promise.all(publishes.map(({ keyspace, entry }) => place(keyspace, entry)));
      return { values: encodeEntries(placed).values, committed: () => published(placed) };
    },
    async close() {
      retention.close();
      arrivals.close();
      // What consumers hold goes back at once; if it cannot, the leases end by themselves.
      await Promise.allSettled([...sources].map((source) => source.close()));
      await Promise.all([publisher.close(), settlements.close()]);
    },
  };
}

function faultOf({ metadata }: PubSubEntry): ComponentError | undefined {
  const [key] = Object.keys(metadata);
  if (key === undefined) return undefined;
  const message = `the postgres component knows no metadata; remove "${key}"`;
  return new ComponentError("BAD_REQUEST", message, { metadata: { key } });
}
