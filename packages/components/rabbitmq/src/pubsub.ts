import {
  type Clock,
  ComponentError,
  gone,
  type PublishOutcome,
  type PubSub,
  type PubSubEntry,
  type PubSubFeature,
  publishInOrder,
  pubsubLimits,
  setFaultyAside,
} from "@mecha/component";
import type { RabbitmqConfig } from "./config.js";
import type { Connection } from "./connection.js";
import { DeadLetters } from "./dead-letters.js";
import { toComponentError, unavailable } from "./errors.js";
import { Groups } from "./groups.js";
import { Leases } from "./leases.js";
import { toProperties } from "./messages.js";
import { Names } from "./names.js";
import { type CountedSource, createSource } from "./source.js";
import { Topology } from "./topology.js";

/** The core. RabbitMQ remembers no ids, keeps nothing that was consumed, and orders a queue, not a key. */
export const pubsubFeatures: readonly PubSubFeature[] = [];

const mayBe = "the event may have been published";
/** How long it is known that a topic has no groups, in ms. */
const noGroupsMs = 1_000;

/** The pubsub block over a connection. */
export function createPubSub(
  connection: Connection,
  { prefix, topics }: Pick<RabbitmqConfig, "prefix" | "topics">,
  clock: Clock,
): { pubsub: PubSub; close(): Promise<void> } {
  const names = new Names(prefix);
  const topology = new Topology(connection, names);
  const groups = new Groups(connection, topology, names);
  const leases = new Leases(clock);
  const dead = new DeadLetters({ connection, topology, groups, names, clock });
  const sources = new Set<CountedSource>();
  const unheard = new Map<string, number>();

  const faultOf = ({ topic, metadata }: PubSubEntry): ComponentError | undefined => {
    const [key] = Object.keys(metadata);
    if (key !== undefined) {
      const message = `the rabbitmq component knows no metadata; remove "${key}"`;
      return new ComponentError("BAD_REQUEST", message, { metadata: { key } });
    }
    return topics === undefined || topics.includes(topic) ? undefined : unknownTopic(topic);
  };

  /** Whether an event that no queue took is missed by nobody: its topic has no groups. */
  const isMissed = async (keyspace: string, topic: string): Promise<boolean> => {
    const id = topicId(keyspace, topic);
    if ((unheard.get(id) ?? 0) > clock.now()) return false;
    if (await topology.hasGroups(keyspace, topic)) return true;
    if (unheard.size > 1_000) unheard.clear();
    unheard.set(id, clock.now() + noGroupsMs);
    return false;
  };

  const publishOne = async (
    keyspace: string,
    { topic, payload, orderingKey }: PubSubEntry,
    signal: AbortSignal | undefined,
  ): Promise<PublishOutcome> => {
    try {
      const isRouted = await connection.publish({
        exchange: names.exchange(keyspace),
        routingKey: topic,
        content: payload,
        options: toProperties({ orderingKey, attempts: 0 }),
        signal,
      });
      if (!isRouted && (await isMissed(keyspace, topic))) throw unroutable(topic);
      return { type: "published", duplicate: false };
    } catch (error) {
      const known = toComponentError(error, mayBe);
      if (known instanceof ComponentError) return { type: "failed", error: known };
      if (signal?.aborted !== true) throw error;
      return { type: "failed", error: gone(error) };
    }
  };

  const requireTopic = (topic: string) => {
    if (topics !== undefined && !topics.includes(topic)) throw unknownTopic(topic);
  };

  const pubsub: PubSub = {
    features: pubsubFeatures,
    // A quorum queue confirms what a majority of its members has synced; how many those are cannot be seen.
    durability: "HOST",
    maxEventBytes: pubsubLimits.maxEventBytes,

    async publish({ keyspace, entries, signal }) {
      const { sound, merge } = setFaultyAside(entries, faultOf);
      if (sound.length === 0) return merge([]);
      await topology.exchange(keyspace);
      return merge(await publishInOrder(sound, (entry) => publishOne(keyspace, entry, signal)));
    },

    openGroup({ settings, defaults, update, signal: _, ...call }) {
      requireTopic(call.topic);
      unheard.delete(topicId(call.keyspace, call.topic));
      return groups.open(call, { settings, defaults, update });
    },
    settingsOf: (call) => groups.settingsOf(call),
    deleteGroup: (call) => groups.delete(call),

    consume(call) {
      const source = createSource(call, { connection, topology, groups, leases, dead });
      sources.add(source);
      const close = source.close.bind(source);
      return Object.assign(source, {
        close() {
          sources.delete(source);
          return close();
        },
      });
    },

    async backlog(call) {
      const queues = await groups.queuesOf(call);
      if (queues === undefined) return 0;
      const { events } = queues;
      const arrived = [...sources].reduce((sum, source) => sum + source.arrivedOf(events), 0);
      const ready = (await topology.count(events)) ?? 0;
      return ready + arrived + leases.count(events) + (await topology.countWaiting(queues));
    },

    listDeadLetters: ({ after, limit, maxBytes, ...call }) => dead.list(call, { after, limit, maxBytes }),
    requeueDeadLetters: ({ ids, ...call }) => dead.exhume(call, ids, true),
    dropDeadLetters: ({ ids, ...call }) => dead.exhume(call, ids, false),
  };

  return {
    pubsub,
    async close() {
      // What consumers hold goes back at once; if it cannot, the broker has it back when the connection ends.
      await Promise.allSettled([...sources].map((source) => source.close()));
      leases.close();
    },
  };
}

const topicId = (keyspace: string, topic: string) => `${keyspace}/${topic}`;

function unknownTopic(topic: string): ComponentError {
  const message = `there is no topic "${topic}"; declare it in the component's \`topics\``;
  const violations = [{ field: "topic", description: "is none of the component's `topics`" }];
  return new ComponentError("BAD_REQUEST", message, { metadata: { topic }, violations });
}

function unroutable(topic: string): ComponentError {
  return unavailable(
    `topic "${topic}" has groups, but no queue took the event: one was deleted by hand; open the group again, or delete it`,
  );
}
