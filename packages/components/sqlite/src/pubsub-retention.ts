import type { DatabaseSync } from "node:sqlite";
import type { JobHandlers } from "./jobs.js";
import type { PubSubJobs } from "./pubsub-jobs.js";

/** How many rows one sweep looks at: few enough that no writer waits long behind it. */
const sweepLimit = 256;

type Handlers = JobHandlers<Pick<PubSubJobs, "pubsub.sweep">>;

/** Forgetting: events that are old and that no group needs, and ids that need not be remembered. */
export function createRetentionHandlers(db: DatabaseSync): Handlers {
  const forgetSeen = db.prepare(`
    DELETE FROM pubsub_seen WHERE (topic, digest) IN (SELECT topic, digest FROM pubsub_seen WHERE expire_time <= ? LIMIT ?)
  `);
  const oldest = db.prepare(
    "SELECT seq, topic, publish_time, expire_time FROM pubsub_event WHERE seq > ? ORDER BY seq LIMIT ?",
  );
  const slowest = db.prepare("SELECT min(cursor) AS cursor FROM pubsub_group WHERE topic = ?");
  const remove = db.prepare(`
    DELETE FROM pubsub_event WHERE seq = ?1 AND NOT EXISTS (SELECT 1 FROM pubsub_delivery WHERE seq = ?1)
  `);

  return {
    "pubsub.sweep"({ after, retentionMs }, _blobs, { now }) {
      let removed = Number(forgetSeen.run(now, sweepLimit).changes);
      const cursors = new Map<number, number>();
      /** Up to where every group of a topic has looked. */
      const seenTo = (topic: number): number => {
        const cursor = cursors.get(topic) ?? Number(slowest.get(topic)?.cursor ?? Number.POSITIVE_INFINITY);
        cursors.set(topic, cursor);
        return cursor;
      };
      const events = oldest.all(after, sweepLimit);
      for (const { seq, topic, publish_time, expire_time } of events) {
        if (Number(publish_time) > now - retentionMs) return { removed, next: null };
        const isExpired = expire_time !== null && Number(expire_time) <= now;
        if (isExpired || Number(seq) <= seenTo(Number(topic))) removed += Number(remove.run(Number(seq)).changes);
      }
      return { removed, next: events.length < sweepLimit ? null : Number(events.at(-1)?.seq) };
    },
  };
}
