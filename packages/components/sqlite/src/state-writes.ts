import type { StatePrecondition, StateResult } from "@mecha/component";
import { Refusal } from "./failure.js";
import type { CreateJobHandlers, Transaction } from "./jobs.js";
import { createPublisher } from "./pubsub-publisher.js";
import { createTopics } from "./pubsub-topics.js";
import { createRequests } from "./requests.js";
import { type BareOperation, deletionLimits, etagOf, type StateJobs } from "./state-jobs.js";

/** How many rows one sweep removes: few enough that no writer waits long behind it. */
const sweepLimit = 256;

/** The state block's jobs, on the writer's thread. */
export const createStateHandlers: CreateJobHandlers<StateJobs> = (db) => {
  const requests = createRequests(db);
  const publisher = createPublisher(db, createTopics(db));
  const current = db.prepare(`
    SELECT revision, update_time FROM state_item
    WHERE keyspace = ? AND key = ? AND (expire_time IS NULL OR expire_time > ?)
  `);
  const put = db.prepare(`
    INSERT INTO state_item (keyspace, key, revision, content_type, update_time, expire_time, value)
    VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (keyspace, key) DO UPDATE SET
      revision = excluded.revision, content_type = excluded.content_type,
      update_time = excluded.update_time, expire_time = excluded.expire_time, value = excluded.value
  `);
  const remove = db.prepare("DELETE FROM state_item WHERE keyspace = ? AND key = ? RETURNING expire_time");
  const logDeletion = db.prepare(
    "INSERT INTO state_deletion (revision, keyspace, key, expired, time) VALUES (?, ?, ?, ?, ?)",
  );
  const removeExpired = db.prepare(`
    DELETE FROM state_item WHERE revision IN (SELECT revision FROM state_item WHERE expire_time <= ? LIMIT ?)
    RETURNING keyspace, key
  `);
  const countDeletions = db.prepare("SELECT count(*) AS count FROM state_deletion");
  const oldestDeletions = db.prepare("SELECT revision, time FROM state_deletion ORDER BY revision LIMIT ?");
  const forgetDeletions = db.prepare("DELETE FROM state_deletion WHERE revision <= ?");
  const noteForgotten = db.prepare("UPDATE meta SET value = ? WHERE name = 'state_forgotten'");

  let deletionsLogged = 0;

  function recordDeletion(keyspace: string, key: string, expired: boolean, { now, nextRevision }: Transaction): void {
    logDeletion.run(nextRevision(), keyspace, key, Number(expired), now);
    // As many are forgotten as are added, so that a flood of deletions stays within its bound between two sweeps, too.
    if (++deletionsLogged % sweepLimit === 0) forgetOldDeletions(now);
  }

  function require(keyspace: string, key: string, index: number, condition: StatePrecondition, now: number): void {
    const item = current.get(keyspace, key, now);
    const metadata = { key, operation_index: String(index) };
    switch (condition.type) {
      case "absent":
        if (item === undefined) return;
        throw new Refusal({ reason: "ALREADY_EXISTS", message: `key "${key}" already exists`, metadata });
      case "exists":
        if (item !== undefined) return;
        throw new Refusal({ reason: "NOT_EXISTS", message: `key "${key}" does not exist`, metadata });
      case "etag":
        if (item !== undefined && etagOf(Number(item.revision), Number(item.update_time)) === condition.etag) return;
        throw new Refusal({
          reason: "ETAG_MISMATCH",
          message:
            item === undefined
              ? `key "${key}" does not exist, so it has no such etag`
              : `key "${key}" has changed since this etag was read; read it again`,
          metadata,
        });
    }
  }

  function apply(
    keyspace: string,
    operation: BareOperation,
    values: Iterator<Uint8Array, undefined>,
    transaction: Transaction,
  ): StateResult {
    const { now } = transaction;
    const { key } = operation;
    switch (operation.type) {
      case "check":
        return { type: "check" };
      case "set": {
        const { contentType, ttlMs } = operation;
        const { value } = values.next();
        if (value === undefined) throw new Error("a set came without its value");
        const revision = transaction.nextRevision();
        put.run(keyspace, key, revision, contentType, now, ttlMs === undefined ? null : now + ttlMs, value);
        return { type: "set", etag: etagOf(revision, now) };
      }
      case "delete": {
        const removed = remove.get(keyspace, key);
        if (removed === undefined) return { type: "delete", existed: false };
        const expired = removed.expire_time !== null && Number(removed.expire_time) <= now;
        recordDeletion(keyspace, key, expired, transaction);
        return { type: "delete", existed: !expired };
      }
    }
  }

  /** Forgets deletions that are too old or too many, oldest first, and notes up to where: a watch cannot resume from before. */
  function forgetOldDeletions(now: number): number {
    const surplus = Number(countDeletions.get()?.count) - deletionLimits.maxCount;
    const oldest = oldestDeletions.all(sweepLimit);
    const kept = oldest.findIndex(
      ({ time }, index) => index >= surplus && Number(time) > now - deletionLimits.maxAgeMs,
    );
    const count = kept === -1 ? oldest.length : kept;
    const last = oldest[count - 1]?.revision;
    if (last === undefined) return 0;
    forgetDeletions.run(last);
    noteForgotten.run(last);
    return count;
  }

  return {
    "state.write"({ keyspace, operations, publishes, requestId }, blobs, transaction) {
      const { now } = transaction;
      const scope = `state/${keyspace}`;
      if (requestId !== undefined) {
        const answered = requests.recall(scope, requestId, now);
        if (answered !== undefined) return answered as StateResult[];
      }
      // All conditions before the first write: a refused transaction leaves no trace, and needs no savepoint.
      operations.forEach(({ key, precondition }, index) => {
        if (precondition !== undefined) require(keyspace, key, index, precondition, now);
      });
      const values = blobs.values();
      const results = operations.map((operation) => apply(keyspace, operation, values, transaction));
      const payloads = blobs.slice(blobs.length - publishes.length);
      publishes.forEach(({ keyspace, entry }, index) => {
        publisher.publish(keyspace, [entry], payloads.slice(index, index + 1), now);
      });
      if (requestId !== undefined) requests.remember(scope, requestId, results, now);
      return results;
    },

    "state.sweep"(_body, _blobs, transaction) {
      const { now } = transaction;
      const expired = removeExpired.all(now, sweepLimit);
      for (const { keyspace, key } of expired) {
        recordDeletion(String(keyspace), String(key), true, transaction);
      }
      const removed = [expired.length, requests.forget(sweepLimit, now), forgetOldDeletions(now)];
      return { more: removed.some((count) => count >= sweepLimit) };
    },
  };
};
