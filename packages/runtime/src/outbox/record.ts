import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Event, EventSchema, type PublishEntry } from "@mecha/api/pubsub";
import { OutboxRecordSchema } from "@mecha/api/state";
import type { PubSubEntry } from "@mecha/component";
import { toMs, toTimestamp } from "../blocks/time.js";

/** An event as a store keeps it for another pubsub. */
export interface OutboxRecord {
  readonly entry: PublishEntry;
  readonly event: Event;
  /** Ms since the epoch: `delay` and `ttl` count from here. */
  readonly commitTime: number;
}

/** A record as it is stored. */
export function writeRecord({ entry, event, commitTime }: OutboxRecord): Uint8Array {
  const record = create(OutboxRecordSchema, { entry: { ...entry, event }, commitTime: toTimestamp(commitTime) });
  return toBinary(OutboxRecordSchema, record);
}

/** Reads a record. Throws at what is none. */
export function readRecord(payload: Uint8Array): OutboxRecord {
  const { entry, commitTime } = fromBinary(OutboxRecordSchema, payload);
  if (entry?.event === undefined || commitTime === undefined) throw new Error("it is no event of an outbox");
  return { entry, event: entry.event, commitTime: timestampMs(commitTime) };
}

/** What is to be published of a record now; undefined if its time to live is over. */
export function toPubSubEntry({ entry, event, commitTime }: OutboxRecord, now: number): PubSubEntry | undefined {
  const passedMs = now - commitTime;
  const left = (ms: number | undefined) => (ms === undefined ? undefined : ms - passedMs);
  const ttlMs = left(entry.ttl && toMs(entry.ttl));
  if (ttlMs !== undefined && ttlMs < 1) return undefined;
  return {
    topic: entry.topic,
    source: event.source,
    id: event.id,
    payload: toBinary(EventSchema, event),
    orderingKey: entry.orderingKey,
    delayMs: Math.max(0, left(entry.delay && toMs(entry.delay)) ?? 0),
    ttlMs,
    metadata: entry.metadata,
  };
}
