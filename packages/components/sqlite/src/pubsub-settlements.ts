import type { DatabaseSync } from "node:sqlite";
import type { JobHandlers, Transaction } from "./jobs.js";
import type { PubSubJobs } from "./pubsub-jobs.js";
import type { OrderingKeys } from "./pubsub-keys.js";

type Handlers = JobHandlers<Pick<PubSubJobs, "pubsub.settle" | "pubsub.extend" | "pubsub.exhume">>;
type BareSettlement = PubSubJobs["pubsub.settle"]["body"]["settlements"][number];

/** A lease that has not ended; what ended is nobody's, also before somebody else takes it. */
const held = "seq = ? AND group_id = ? AND token = ? AND due_time > ?";

/** What becomes of leases, and of what was given up. */
export function createSettlementHandlers(db: DatabaseSync, keys: OrderingKeys): Handlers {
  const ack = db.prepare(`DELETE FROM pubsub_delivery WHERE ${held} RETURNING ordering_key`);
  const retry = db.prepare(
    `UPDATE pubsub_delivery SET due_time = ?, token = NULL, last_error = ? WHERE ${held} RETURNING ordering_key`,
  );
  const release = db.prepare(
    `UPDATE pubsub_delivery SET due_time = 0, token = NULL, attempts = attempts - 1 WHERE ${held} RETURNING ordering_key`,
  );
  const giveUp = db.prepare(`
    UPDATE pubsub_delivery SET due_time = NULL, token = NULL, dead_id = ?, dead_time = ?, last_error = ?
    WHERE ${held} RETURNING ordering_key
  `);
  const extend = db.prepare(`UPDATE pubsub_delivery SET due_time = ? WHERE ${held}`);
  const dead = db.prepare("SELECT seq, ordering_key FROM pubsub_delivery WHERE group_id = ? AND dead_id = ?");
  const remove = db.prepare("DELETE FROM pubsub_delivery WHERE seq = ? AND group_id = ?");
  // Its delay is over, and its time to live does not count any more: somebody decided that it is wanted.
  const revive = db.prepare(`
    UPDATE pubsub_delivery SET due_time = ?, attempts = 0, expire_time = NULL, last_error = '', dead_id = NULL, dead_time = NULL
    WHERE seq = ? AND group_id = ?
  `);

  function settle(group: number, settlement: BareSettlement, { now, nextRevision }: Transaction): boolean {
    const lease = [settlement.seq, group, settlement.token, now] as const;
    switch (settlement.type) {
      case "ack":
        return goOn(group, ack.get(...lease));
      case "retry":
        return retry.get(now + settlement.afterMs, settlement.error, ...lease) !== undefined;
      case "release":
        return release.get(...lease) !== undefined;
      case "dead":
        return goOn(group, giveUp.get(nextRevision(), now, settlement.error, ...lease));
    }
  }

  /** A delivery is done, if there was one: its key goes on. */
  function goOn(group: number, done: Record<string, unknown> | undefined): boolean {
    if (done === undefined) return false;
    if (done.ordering_key !== null) keys.advance(group, String(done.ordering_key));
    return true;
  }

  return {
    "pubsub.settle": ({ group, settlements }, _blobs, transaction) =>
      settlements.map((settlement) => settle(group, settlement, transaction)),

    "pubsub.extend": ({ group, leases, leaseMs }, _blobs, { now }) =>
      leases.map(({ seq, token }) => extend.run(now + leaseMs, seq, group, token, now).changes === 1),

    "pubsub.exhume"({ group, ids, requeue }) {
      let count = 0;
      for (const id of ids) {
        const letter = dead.get(group, id);
        if (letter === undefined) continue;
        count += 1;
        const seq = Number(letter.seq);
        if (!requeue) remove.run(seq, group);
        else {
          const isBehind = letter.ordering_key !== null && keys.isTaken(group, String(letter.ordering_key));
          revive.run(isBehind ? null : 0, seq, group);
        }
      }
      return count;
    },
  };
}
