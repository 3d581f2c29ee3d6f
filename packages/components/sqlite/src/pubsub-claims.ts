import type { DatabaseSync } from "node:sqlite";
import type { JobHandlers } from "./jobs.js";
import { type Claimed, newToken, type PubSubJobs } from "./pubsub-jobs.js";
import type { OrderingKeys } from "./pubsub-keys.js";

/** How many events one claim looks at, and leases at most: few enough that no writer waits long behind it. */
const scanLimit = 512;
const claimLimit = 256;

type Handlers = JobHandlers<Pick<PubSubJobs, "pubsub.claim">>;

/** Leasing: first what comes back, then what the group has not looked at yet. */
export function createClaimHandlers(db: DatabaseSync, keys: OrderingKeys): Handlers {
  const groupRow = db.prepare("SELECT topic, ordered, cursor FROM pubsub_group WHERE id = ?");
  const moveCursor = db.prepare("UPDATE pubsub_group SET cursor = ? WHERE id = ?");
  const returned = db.prepare(`
    SELECT d.seq, d.attempts, d.expire_time, d.ordering_key, length(e.payload) AS size
    FROM pubsub_delivery d JOIN pubsub_event e ON e.seq = d.seq
    WHERE d.group_id = ? AND d.due_time <= ? ORDER BY d.due_time, d.seq LIMIT ?
  `);
  const unseen = db.prepare(`
    SELECT seq, due_time, expire_time, ordering_key, length(payload) AS size
    FROM pubsub_event WHERE topic = ? AND seq > ? ORDER BY seq LIMIT ?
  `);
  const add = db.prepare(`
    INSERT INTO pubsub_delivery (seq, group_id, due_time, token, attempts, expire_time, ordering_key) VALUES (?, ?, ?, ?, ?, ?, ?)
  `);
  const lease = db.prepare(
    "UPDATE pubsub_delivery SET due_time = ?, token = ?, attempts = ? WHERE seq = ? AND group_id = ?",
  );
  const remove = db.prepare("DELETE FROM pubsub_delivery WHERE seq = ? AND group_id = ?");

  return {
    "pubsub.claim"({ group, maxItems, maxBytes, leaseMs }, _blobs, { now }) {
      const limit = Math.min(maxItems, claimLimit);
      const row = groupRow.get(group);
      if (row === undefined) throw new Error(`there is no group ${group}`);
      const isOrdered = row.ordered === 1;
      const claimed: Claimed[] = [];
      let bytes = 0;
      let isFull: boolean = false;

      /** Whether one more of this size may be leased. */
      const fits = (size: unknown): boolean => {
        isFull = claimed.length >= limit || (claimed.length > 0 && bytes + Number(size) > maxBytes);
        if (!isFull) bytes += Number(size);
        return !isFull;
      };
      const isExpired = (time: unknown) => time !== null && Number(time) <= now;
      const leaseEnd = now + leaseMs;

      /** Leases what comes back; how many it dropped, each of which may have let another of its key go. */
      const claimReturned = (): number => {
        let dropped = 0;
        for (const { seq, attempts, expire_time, ordering_key, size } of returned.all(group, now, limit)) {
          if (isExpired(expire_time)) {
            dropped += 1;
            remove.run(Number(seq), group);
            if (ordering_key !== null) keys.advance(group, String(ordering_key));
            continue;
          }
          if (!fits(size)) break;
          const next = { seq: Number(seq), token: newToken(), attempt: Number(attempts) + 1 };
          lease.run(leaseEnd, next.token, next.attempt, next.seq, group);
          claimed.push(next);
        }
        return dropped;
      };
      for (let dropped = -1, scanned = 0; dropped !== 0 && !isFull && scanned < scanLimit; scanned += dropped) {
        dropped = claimReturned();
      }

      let cursor = Number(row.cursor);
      for (let scanned = 0; scanned < scanLimit && !isFull && claimed.length < limit; ) {
        const page = unseen.all(Number(row.topic), cursor, limit - claimed.length);
        if (page.length === 0) break;
        scanned += page.length;
        for (const event of page) {
          const seq = Number(event.seq);
          if (isExpired(event.expire_time)) {
            cursor = seq;
            continue;
          }
          const { due_time, expire_time = null, size } = event;
          const key = isOrdered && event.ordering_key !== "" ? String(event.ordering_key) : null;
          if (key !== null && keys.isTaken(group, key)) add.run(seq, group, null, null, 0, expire_time, key);
          else if (Number(due_time) > now) add.run(seq, group, Number(due_time), null, 0, expire_time, key);
          else {
            if (!fits(size)) break;
            const first = { seq, token: newToken(), attempt: 1 };
            add.run(seq, group, leaseEnd, first.token, 1, expire_time, key);
            claimed.push(first);
          }
          cursor = seq;
        }
      }
      if (cursor !== row.cursor) moveCursor.run(cursor, group);
      return claimed;
    },
  };
}
