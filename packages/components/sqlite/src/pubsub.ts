import {
  type Clock,
  type DeliverySource,
  type GroupCall,
  type GroupSettings,
  type Logger,
  type PublishOutcome,
  type PubSub,
  pubsubLimits,
  requireSameGroup,
  setFaultyAside,
} from "@mecha/component";
import type { Settings } from "./config.js";
import type { Connection } from "./connection.js";
import { createArrivals } from "./pubsub-arrivals.js";
import { toColumns } from "./pubsub-columns.js";
import { parseDeadLetterId } from "./pubsub-jobs.js";
import { faultOf } from "./pubsub-publishable.js";
import { createPubSubReads, type StoredGroup } from "./pubsub-reads.js";
import { createSource } from "./pubsub-source.js";
import { startPubSubSweeper } from "./pubsub-sweeper.js";

/** All of them, natively. */
export const pubsubFeatures = ["ORDERED", "DELAY", "REPLAY", "DEDUP", "TTL"] as const;

/** How many dead letters are taken out in one transaction. */
const exhumeLimit = 256;

const published: PublishOutcome = { type: "published", duplicate: false };
const publishedBefore: PublishOutcome = { type: "published", duplicate: true };

/** The pubsub block over a connection. */
export function createPubSub(
  connection: Connection,
  { durability, eventRetentionMs }: Settings,
  { clock, logger }: { clock: Clock; logger: Logger },
): { pubsub: PubSub; close(): Promise<void> } {
  const { reader, writer } = connection;
  const reads = createPubSubReads(reader.db);
  const arrivals = createArrivals(connection, reads, clock);
  const stopSweeping = startPubSubSweeper(connection, reads, { clock, logger, retentionMs: eventRetentionMs });
  const sources = new Set<DeliverySource>();

  const find = (call: GroupCall) => reader.read(() => reads.group(call));

  /** Takes dead letters out in transactions of a bounded size; how many there were. */
  async function exhume(call: GroupCall, ids: readonly string[] | undefined, requeue: boolean): Promise<number> {
    const group = (await find(call))?.id;
    if (group === undefined) return 0;
    let count = 0;
    for await (const some of ids === undefined ? allDeadIds(group) : inParts(ids.flatMap(toDeadId))) {
      count += await writer.submit("pubsub.exhume", { group, ids: some, requeue });
    }
    return count;
  }

  /** Those that are dead now; what is given up meanwhile is not among them. */
  async function* allDeadIds(group: number): AsyncGenerator<number[]> {
    const last = await reader.read(() => reads.lastDeadId(group));
    for (let after = 0; ; ) {
      const ids = await reader.read(() => reads.deadIds(group, after, last, exhumeLimit));
      after = ids.at(-1) ?? last;
      if (ids.length === 0) return;
      yield ids;
    }
  }

  const pubsub: PubSub = {
    features: pubsubFeatures,
    durability,
    maxEventBytes: pubsubLimits.maxEventBytes,

    async publish({ keyspace, entries, signal }) {
      const { sound, merge } = setFaultyAside(entries, faultOf);
      if (sound.length === 0) return merge([]);
      const blobs = sound.map(({ payload }) => payload);
      const duplicates = await writer.submit(
        "pubsub.publish",
        { keyspace, entries: toColumns(sound) },
        { blobs, signal },
      );
      const outcomes = sound.map(() => published);
      for (const index of duplicates) outcomes[index] = publishedBefore;
      return merge(outcomes);
    },

    async openGroup({ settings, defaults, update, signal, ...call }) {
      for (;;) {
        const stored = await find(call);
        const has = stored && settingsFrom(stored);
        if (has !== undefined) {
          if (settings === undefined) return has;
          requireSameGroup(call.group, has, settings, update);
          if (!update) return has;
        }
        const wanted = settings ?? defaults;
        const body = { call: { ...call }, settings: wanted, replaces: stored?.settings ?? null };
        // If not, another runtime was faster: what it stored counts.
        if (await writer.submit("pubsub.open", body, { signal })) return wanted;
      }
    },

    async settingsOf(call) {
      const stored = await find(call);
      return stored && settingsFrom(stored);
    },

    deleteGroup: (call) => writer.submit("pubsub.delete", { call: { ...call } }),

    async backlog(call) {
      const group = (await find(call))?.id;
      return group === undefined ? 0 : reader.read(() => reads.backlog(group));
    },

    consume(call) {
      const source = createSource(call, { connection, reads, arrivals, clock });
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

    async listDeadLetters({ after, limit, maxBytes, ...call }) {
      const group = (await find(call))?.id;
      const last = after === undefined ? 0 : parseDeadLetterId(after);
      if (group === undefined || last === undefined) return { deadLetters: [], more: false };
      return reader.read(() => reads.deadLetters(group, { after: last, limit, maxBytes }));
    },

    requeueDeadLetters: ({ ids, ...call }) => exhume(call, ids, true),
    dropDeadLetters: ({ ids, ...call }) => exhume(call, ids, false),
  };

  return {
    pubsub,
    async close() {
      stopSweeping();
      arrivals.close();
      // What consumers hold goes back at once; if it cannot, the leases end by themselves.
      await Promise.allSettled([...sources].map((source) => source.close()));
    },
  };
}

const settingsFrom = ({ settings }: StoredGroup): GroupSettings => JSON.parse(settings);

const toDeadId = (id: string): number[] => {
  const parsed = parseDeadLetterId(id);
  return parsed === undefined ? [] : [parsed];
};

function* inParts(ids: readonly number[]): Generator<number[]> {
  for (let at = 0; at < ids.length; at += exhumeLimit) yield ids.slice(at, at + exhumeLimit);
}
