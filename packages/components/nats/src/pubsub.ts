import { randomUUID } from "node:crypto";
import {
  type Clock,
  ComponentError,
  type DeliverySource,
  type GroupCall,
  type Logger,
  type PubSub,
  type PubSubEntry,
  pubsubLimits,
  setFaultyAside,
} from "@mecha/component";
import type { Settings } from "./config.js";
import type { Connection } from "./connection.js";
import { DeadLetters } from "./dead-letters.js";
import { FreeDeliveries } from "./free-deliveries.js";
import { Groups } from "./groups.js";
import { Leases } from "./leases.js";
import { headerBytes } from "./messages.js";
import { Names } from "./names.js";
import { Publisher } from "./publish.js";
import { startRetention } from "./retention.js";
import { Settling } from "./settling.js";
import { createSource } from "./source.js";
import { Topology } from "./topology.js";

/** All of them. */
export const pubsubFeatures = ["ORDERED", "DELAY", "REPLAY", "DEDUP", "TTL"] as const;

/** The pubsub block over a connection. */
export function createPubSub(
  connection: Connection,
  settings: Settings,
  { clock, logger }: { clock: Clock; logger: Logger },
): { pubsub: PubSub; start(): Promise<void>; close(): Promise<void> } {
  const names = new Names(settings.prefix);
  const topology = new Topology(connection, settings, names);
  const groups = new Groups(connection, topology, names);
  const free = new FreeDeliveries(topology, names);
  const dead = new DeadLetters(connection, topology, names);
  const holder = randomUUID();
  const leases = new Leases(connection, clock, holder);
  const settling = new Settling({ connection, groups, leases, free, dead, names, holder });
  const publisher = new Publisher(connection, topology, names);
  const stopRetention = startRetention(topology, settings, { clock, logger });
  const sources = new Set<DeliverySource>();
  const maxPayload = connection.live?.nc.info?.max_payload ?? 0;

  const exhume = async (call: GroupCall, ids: readonly string[] | undefined, requeue: boolean) => {
    const group = await groups.find(call);
    return group === undefined ? 0 : dead.exhume(group, ids, requeue);
  };

  const pubsub: PubSub = {
    features: pubsubFeatures,
    durability: settings.durability,
    maxEventBytes: Math.min(pubsubLimits.maxEventBytes, maxPayload - headerBytes),

    async publish({ keyspace, entries, signal }) {
      const { sound, merge } = setFaultyAside(entries, faultOf);
      return merge(sound.length === 0 ? [] : await publisher.publish(keyspace, sound, signal));
    },

    openGroup: ({ settings, defaults, update, signal: _, ...call }) =>
      groups.open(call, { settings, defaults, update }),
    settingsOf: (call) => groups.settingsOf(call),
    deleteGroup: (call) => groups.delete(call),

    consume(call) {
      const source = createSource(call, { connection, groups, leases, free, settling, clock, logger });
      const tracked: DeliverySource = {
        ...source,
        close() {
          sources.delete(tracked);
          return source.close();
        },
      };
      sources.add(tracked);
      return tracked;
    },

    async backlog(call) {
      const group = await groups.find(call);
      if (group === undefined) return 0;
      const { stream } = group.names.topic;
      const counts = await topology.manage((jsm) =>
        Promise.all(group.consumers.map((consumer) => jsm.consumers.info(stream, consumer))),
      );
      return counts.reduce((sum, { num_pending, num_ack_pending }) => sum + num_pending + num_ack_pending, 0);
    },

    listDeadLetters: ({ after, limit, maxBytes, ...call }) => dead.list(call, { after, limit, maxBytes }),
    requeueDeadLetters: ({ ids, ...call }) => exhume(call, ids, true),
    dropDeadLetters: ({ ids, ...call }) => exhume(call, ids, false),
  };

  return {
    pubsub,
    /** Makes the first of what is kept: if this cannot be made nothing can. */
    async start() {
      await topology.bucket();
    },
    async close() {
      stopRetention();
      // What consumers hold goes back at once; if it cannot, JetStream delivers it again after a while.
      await Promise.allSettled([...sources].map((source) => source.close()));
      leases.close();
    },
  };
}

function faultOf({ metadata }: PubSubEntry): ComponentError | undefined {
  const [key] = Object.keys(metadata);
  if (key === undefined) return undefined;
  const message = `the nats component knows no metadata; remove "${key}"`;
  return new ComponentError("BAD_REQUEST", message, { metadata: { key } });
}
