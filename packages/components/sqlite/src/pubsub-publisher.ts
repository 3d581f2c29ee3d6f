import { hash } from "node:crypto";
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import { pubsubLimits } from "@mecha/component";
import { isConflict } from "./failure.js";
import type { JobHandlers } from "./jobs.js";
import { fromColumns } from "./pubsub-columns.js";
import type { BareEntry, PubSubJobs } from "./pubsub-jobs.js";
import type { Topics } from "./pubsub-topics.js";

/** Publishes within the transaction of whoever asks. */
export interface Publisher {
  /**
   * Writes events to their topics, which are made if they are new, in order and each once for all groups. Says where those stand whose (source, id)
   * was seen within the last 10 minutes, so that they were not written again.
   */
  publish(keyspace: string, entries: readonly BareEntry[], payloads: readonly Uint8Array[], now: number): number[];
}

/** Longer ids are hashed. */
const maxPlainIdBytes = 64;

const hashBytes = 16;

/**
 * What stands for (source, id), however long they are. Ids mostly rise, as UUIDv7 do: kept as they are they lie side by side in the index, while
 * hashes would dirty a page each, all of which each commit must write.
 */
function createDigest(): (entry: BareEntry) => Uint8Array {
  // Half of a SHA-256: no two are alike. Many events in a row come from one source.
  const short = (text: string) => hash("sha256", text, "buffer").subarray(0, hashBytes);
  let last: string | undefined;
  let source: Uint8Array = Buffer.alloc(0);
  return (entry) => {
    if (entry.source !== last) source = short(entry.source);
    last = entry.source;
    const idBytes = Buffer.byteLength(entry.id);
    if (idBytes > maxPlainIdBytes) return Buffer.concat([source, short(entry.id)]);
    const digest = Buffer.allocUnsafe(hashBytes + idBytes);
    digest.set(source);
    digest.write(entry.id, hashBytes);
    return digest;
  };
}

/** At most this many rows are written by one statement. A power of two. */
const maxRows = 64;

/** A statement that inserts many rows costs half of as many statements: one for each power of two, made when it is needed. */
function createInserts(db: DatabaseSync, head: string, rowOf: (index: number) => string) {
  const prepared = new Map<number, StatementSync>();
  return (rows: number, values: readonly SQLInputValue[]): void => {
    let statement = prepared.get(rows);
    if (statement === undefined) {
      statement = db.prepare(`${head} VALUES ${Array.from({ length: rows }, (_, index) => rowOf(index)).join(", ")}`);
      prepared.set(rows, statement);
    }
    statement.run(...values);
  };
}

/** How many entries the next statement writes: they share all columns but their key and payload. */
function rowsFrom(entries: readonly BareEntry[], at: number, { topic, delayMs, ttlMs }: BareEntry): number {
  let alike = 1;
  for (; alike < maxRows; alike++) {
    const entry = entries[at + alike];
    if (entry?.topic !== topic || entry.delayMs !== delayMs || entry.ttlMs !== ttlMs) break;
  }
  return 2 ** Math.floor(Math.log2(alike));
}

/** Makes a {@link Publisher} over the writer's connection. */
export function createPublisher(db: DatabaseSync, topics: Topics): Publisher {
  const digestOf = createDigest();
  const addDigests = createInserts(
    db,
    "INSERT INTO pubsub_seen (topic, expire_time, digest)",
    (index) => `(?1, ?2, ?${index + 3})`,
  );
  const see = db.prepare(`
    INSERT INTO pubsub_seen (topic, digest, expire_time) VALUES (?1, ?2, ?3)
    ON CONFLICT (topic, digest) DO UPDATE SET expire_time = excluded.expire_time WHERE expire_time <= ?4
  `);
  const addEvents = createInserts(
    db,
    "INSERT INTO pubsub_event (topic, publish_time, due_time, expire_time, ordering_key, payload)",
    (index) => `(?1, ?2, ?3, ?4, ?${2 * index + 5}, ?${2 * index + 6})`,
  );

  /** Whether none of these was seen; remembers all or, as a statement that fails leaves nothing behind, none. */
  function areNew(topic: number, digests: readonly Uint8Array[], now: number): boolean {
    try {
      addDigests(digests.length, [topic, now + pubsubLimits.dedupMs, ...digests]);
      return true;
    } catch (error) {
      if (isConflict(error)) return false;
      throw error;
    }
  }

  /** Whether it was not seen within the last 10 minutes; remembers it. */
  const isNew = (topic: number, digest: Uint8Array, now: number): boolean =>
    see.run(topic, digest, now + pubsubLimits.dedupMs, now).changes === 1;

  return {
    publish(keyspace, entries, payloads, now) {
      const duplicates: number[] = [];
      const ids = new Map<string, number>();

      /** Writes entries that are alike. */
      const write = (topic: number, { delayMs, ttlMs }: BareEntry, from: number, rows: number): void => {
        const values: SQLInputValue[] = [topic, now, now + delayMs, ttlMs === null ? null : now + ttlMs];
        for (let index = from; index < from + rows; index++) {
          const payload = payloads[index];
          if (payload === undefined) throw new Error("an event came without its payload");
          values.push(entries[index]?.orderingKey ?? "", payload);
        }
        addEvents(rows, values);
      };

      for (let at = 0, first = entries[0]; first !== undefined; first = entries[at]) {
        const topic = ids.get(first.topic) ?? topics.make(keyspace, first.topic);
        ids.set(first.topic, topic);
        const digests = entries.slice(at, at + rowsFrom(entries, at, first)).map(digestOf);
        if (areNew(topic, digests, now)) write(topic, first, at, digests.length);
        else {
          for (const [index, digest] of digests.entries()) {
            if (isNew(topic, digest, now)) write(topic, first, at + index, 1);
            else duplicates.push(at + index);
          }
        }
        at += digests.length;
      }
      return duplicates;
    },
  };
}

/** Publishing by itself; `state` publishes within its transactions. */
export const createPublishHandlers = (publisher: Publisher): JobHandlers<Pick<PubSubJobs, "pubsub.publish">> => ({
  "pubsub.publish": ({ keyspace, entries }, blobs, { now }) =>
    publisher.publish(keyspace, fromColumns(entries), blobs, now),
});
