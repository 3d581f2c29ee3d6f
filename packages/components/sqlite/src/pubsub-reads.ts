import type { DatabaseSync } from "node:sqlite";
import type { DeadLetter, GroupCall } from "@mecha/component";
import { toDeadLetterId } from "./pubsub-jobs.js";

/** A group as it is stored. */
export interface StoredGroup {
  readonly id: number;
  /** JSON. */
  readonly settings: string;
}

/** What is stored of a delivery for whoever handles it. */
export interface StoredEvent {
  readonly payload: Uint8Array;
  readonly orderingKey: string;
}

/** What the pubsub block reads. Every function is one or more statements, to be run by the connection's reader. */
export interface PubSubReads {
  group(call: GroupCall): StoredGroup | undefined;
  /** When a group has something to take, ms since the epoch: 0 if it has not looked at all events; undefined if nothing is in sight. */
  readyTime(group: number): number | undefined;
  /** How many events a group has not looked at, or has a delivery of that is not given up. */
  backlog(group: number): number;
  event(seq: number): StoredEvent | undefined;
  deadLetters(
    group: number,
    page: { readonly after: number; readonly limit: number; readonly maxBytes: number },
  ): { readonly deadLetters: DeadLetter[]; readonly more: boolean };
  /** The ids of at most `limit` dead letters after one and up to another. */
  deadIds(group: number, after: number, to: number, limit: number): number[];
  /** The id of the last dead letter; 0 if there is none. */
  lastDeadId(group: number): number;
  /** Whether there may be something to forget. */
  isSweepDue(now: number, retentionMs: number): boolean;
}

/** Makes {@link PubSubReads} over the connection that reads. */
export function createPubSubReads(db: DatabaseSync): PubSubReads {
  const group = db.prepare(`
    SELECT id, settings FROM pubsub_group
    WHERE topic = (SELECT id FROM pubsub_topic WHERE keyspace = ? AND name = ?) AND name = ?
  `);
  const ready = db.prepare(`
    SELECT
      EXISTS (
        SELECT 1 FROM pubsub_event
        WHERE topic = (SELECT topic FROM pubsub_group WHERE id = ?1) AND seq > (SELECT cursor FROM pubsub_group WHERE id = ?1)
      ) AS unseen,
      (
        SELECT due_time FROM pubsub_delivery
        WHERE group_id = ?1 AND due_time IS NOT NULL ORDER BY due_time LIMIT 1
      ) AS due_time
  `);
  const backlog = db.prepare(`
    SELECT
      (
        SELECT count(*) FROM pubsub_event
        WHERE topic = (SELECT topic FROM pubsub_group WHERE id = ?1) AND seq > (SELECT cursor FROM pubsub_group WHERE id = ?1)
      ) + (
        SELECT count(*) FROM pubsub_delivery WHERE group_id = ?1 AND due_time IS NOT NULL
      ) + (
        SELECT count(*) FROM pubsub_delivery
        WHERE group_id = ?1 AND ordering_key IS NOT NULL AND dead_id IS NULL AND due_time IS NULL
      ) AS backlog
  `);
  const event = db.prepare("SELECT payload, ordering_key FROM pubsub_event WHERE seq = ?");
  const dead = db.prepare(`
    SELECT d.dead_id, d.dead_time, d.attempts, d.last_error, e.ordering_key, e.payload
    FROM pubsub_delivery d JOIN pubsub_event e ON e.seq = d.seq
    WHERE d.group_id = ? AND d.dead_id > ? ORDER BY d.dead_id
  `);
  const deadIds = db.prepare(
    "SELECT dead_id FROM pubsub_delivery WHERE group_id = ? AND dead_id > ? AND dead_id <= ? ORDER BY dead_id LIMIT ?",
  );
  const lastDead = db.prepare(
    "SELECT dead_id FROM pubsub_delivery WHERE group_id = ? AND dead_id IS NOT NULL ORDER BY dead_id DESC LIMIT 1",
  );
  const sweepDue = db.prepare(`
    SELECT
      EXISTS (SELECT 1 FROM pubsub_seen WHERE expire_time <= ?)
      OR (SELECT publish_time FROM pubsub_event ORDER BY seq LIMIT 1) <= ? AS due
  `);

  return {
    group({ keyspace, topic, group: name }) {
      const row = group.get(keyspace, topic, name);
      return row && { id: Number(row.id), settings: String(row.settings) };
    },
    readyTime(id) {
      const row = ready.get(id);
      if (row?.unseen === 1) return 0;
      return row === undefined || row.due_time === null ? undefined : Number(row.due_time);
    },
    backlog: (id) => Number(backlog.get(id)?.backlog),
    event(seq) {
      const row = event.get(seq);
      return row && { payload: row.payload as Uint8Array, orderingKey: String(row.ordering_key) };
    },
    deadLetters(id, { after, limit, maxBytes }) {
      const deadLetters: DeadLetter[] = [];
      let bytes = 0;
      for (const row of dead.iterate(id, after)) {
        const payload = row.payload as Uint8Array;
        bytes += payload.byteLength;
        if (deadLetters.length === limit || (bytes > maxBytes && deadLetters.length > 0)) {
          return { deadLetters, more: true };
        }
        deadLetters.push({
          id: toDeadLetterId(Number(row.dead_id)),
          payload,
          orderingKey: String(row.ordering_key),
          attempts: Number(row.attempts),
          lastError: String(row.last_error),
          time: Number(row.dead_time),
        });
      }
      return { deadLetters, more: false };
    },
    deadIds: (id, after, to, limit) => deadIds.all(id, after, to, limit).map(({ dead_id }) => Number(dead_id)),
    lastDeadId: (id) => Number(lastDead.get(id)?.dead_id ?? 0),
    isSweepDue: (now, retentionMs) => sweepDue.get(now, now - retentionMs)?.due === 1,
  };
}
