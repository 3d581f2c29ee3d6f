import { hash } from "node:crypto";
import type { DatabaseSync } from "node:sqlite";
import { type GroupStart, pubsubLimits } from "@mecha/component";
import type { JobHandlers } from "./jobs.js";
import type { BareEntry, PubSubJobs } from "./pubsub-jobs.js";

type Handlers = JobHandlers<Pick<PubSubJobs, "pubsub.publish" | "pubsub.open" | "pubsub.delete">>;

/** Publishes within the transaction of whoever asks. */
export interface Publisher {
  /** The id of a topic, which is made if it is new. */
  topicOf(keyspace: string, name: string): number;
  /** Writes an event to its topic, once for all groups; false if (source, id) was seen within the last 10 minutes, so that it was not. */
  publish(topic: number, entry: BareEntry, payload: Uint8Array | undefined, now: number): boolean;
}

/** Longer ids are hashed. */
const maxPlainIdBytes = 64;

/**
 * What stands for (source, id), however long they are. Ids mostly rise, as UUIDv7 do: kept as they are they lie side by side in the index, while
 * hashes would dirty a page each, all of which each commit must write.
 */
function createDigest(): (entry: BareEntry) => Uint8Array {
  // Half of a SHA-256: no two are alike. Many events in a row come from one source.
  const short = (text: string) => hash("sha256", text, "buffer").subarray(0, 16);
  let last: string | undefined;
  let source: Uint8Array = Buffer.alloc(0);
  return (entry) => {
    if (entry.source !== last) source = short(entry.source);
    last = entry.source;
    const id = Buffer.from(entry.id);
    return Buffer.concat([source, id.length <= maxPlainIdBytes ? id : short(entry.id)]);
  };
}

/** Makes a {@link Publisher} over the writer's connection. */
export function createPublisher(db: DatabaseSync): Publisher {
  const digestOf = createDigest();
  const findTopic = db.prepare("SELECT id FROM pubsub_topic WHERE keyspace = ? AND name = ?");
  const addTopic = db.prepare("INSERT INTO pubsub_topic (keyspace, name) VALUES (?, ?)");
  const see = db.prepare(`
    INSERT INTO pubsub_seen (topic, digest, expire_time) VALUES (?1, ?2, ?3)
    ON CONFLICT (topic, digest) DO UPDATE SET expire_time = excluded.expire_time WHERE expire_time <= ?4
  `);
  const addEvent = db.prepare(`
    INSERT INTO pubsub_event (topic, publish_time, due_time, expire_time, ordering_key, payload) VALUES (?, ?, ?, ?, ?, ?)
  `);

  /** Whether (source, id) was not seen within the last 10 minutes; remembers it. */
  function isNew(topic: number, entry: BareEntry, now: number): boolean {
    return see.run(topic, digestOf(entry), now + pubsubLimits.dedupMs, now).changes === 1;
  }

  return {
    topicOf(keyspace, name) {
      const known = findTopic.get(keyspace, name);
      return Number(known === undefined ? addTopic.run(keyspace, name).lastInsertRowid : known.id);
    },
    publish(topic, entry, payload, now) {
      if (!isNew(topic, entry, now)) return false;
      if (payload === undefined) throw new Error("an event came without its payload");
      const { delayMs, ttlMs, orderingKey } = entry;
      addEvent.run(topic, now, now + delayMs, ttlMs === null ? null : now + ttlMs, orderingKey, payload);
      return true;
    },
  };
}

/** Publishing, and the groups of a topic. */
export function createPublishHandlers(db: DatabaseSync): Handlers {
  const publisher = createPublisher(db);
  const lastSequence = db.prepare("SELECT seq FROM sqlite_sequence WHERE name = 'pubsub_event'");
  const nextEvent = db.prepare(
    "SELECT seq, publish_time FROM pubsub_event WHERE topic = ? AND seq >= ? ORDER BY seq LIMIT 1",
  );
  const findGroup = db.prepare("SELECT id, settings FROM pubsub_group WHERE topic = ? AND name = ?");
  const addGroup = db.prepare(
    "INSERT INTO pubsub_group (topic, name, settings, ordered, cursor) VALUES (?, ?, ?, ?, ?)",
  );
  const findTopic = db.prepare("SELECT id FROM pubsub_topic WHERE keyspace = ? AND name = ?");
  const changeGroup = db.prepare("UPDATE pubsub_group SET settings = ? WHERE id = ?");
  // The row stays, without a name and past every event: its id is never given to another group, which consumers that know it would take from.
  const endGroup = db.prepare(
    `UPDATE pubsub_group SET name = ' ' || id, settings = '', cursor = ${Number.MAX_SAFE_INTEGER} WHERE id = ?`,
  );
  const removeDeliveries = db.prepare("DELETE FROM pubsub_delivery WHERE group_id = ?");

  /** After which event a new group begins. */
  function cursorAt(topic: number, start: GroupStart): number {
    const last = Number(lastSequence.get()?.seq ?? 0);
    switch (start.type) {
      case "new":
        return last;
      case "earliest":
        return 0;
      case "time": {
        // Times of publishing rise with the sequence, so the first event of a time is found in some 50 steps, however many there are.
        let [from, to] = [1, last + 1];
        while (from < to) {
          const middle = Math.floor((from + to) / 2);
          const event = nextEvent.get(topic, middle);
          if (event === undefined || Number(event.publish_time) >= start.time) to = middle;
          else from = Number(event.seq) + 1;
        }
        return from - 1;
      }
    }
  }

  return {
    "pubsub.publish"({ keyspace, entries }, blobs, { now }) {
      const topics = new Map<string, number>();
      return entries.map((entry, index) => {
        const topic = topics.get(entry.topic) ?? publisher.topicOf(keyspace, entry.topic);
        topics.set(entry.topic, topic);
        return !publisher.publish(topic, entry, blobs[index], now);
      });
    },

    "pubsub.open"({ call, settings, replaces }) {
      const topic = publisher.topicOf(call.keyspace, call.topic);
      const group = findGroup.get(topic, call.group);
      if ((group?.settings ?? null) !== replaces) return false;
      const text = JSON.stringify(settings);
      if (group !== undefined) changeGroup.run(text, Number(group.id));
      else addGroup.run(topic, call.group, text, Number(settings.ordered), cursorAt(topic, settings.start));
      return true;
    },

    "pubsub.delete"({ call }) {
      const topic = findTopic.get(call.keyspace, call.topic);
      const group = topic && findGroup.get(Number(topic.id), call.group);
      if (group === undefined) return false;
      endGroup.run(Number(group.id));
      removeDeliveries.run(Number(group.id));
      return true;
    },
  };
}
