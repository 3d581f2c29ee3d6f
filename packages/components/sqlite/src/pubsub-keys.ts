import type { DatabaseSync } from "node:sqlite";

/**
 * The order of an `ordered` group: of the deliveries of a key that are not done, one goes ahead, and the others are behind it, without a due
 * time.
 */
export interface OrderingKeys {
  /** Whether a delivery of this key is not done yet. */
  isTaken(group: number, key: string): boolean;
  /** The one ahead is done: lets the next one go. */
  advance(group: number, key: string): void;
}

/** Makes {@link OrderingKeys} over the writer's connection. */
export function createOrderingKeys(db: DatabaseSync): OrderingKeys {
  const first = db.prepare(`
    SELECT seq, due_time FROM pubsub_delivery
    WHERE group_id = ? AND ordering_key = ? AND dead_id IS NULL ORDER BY seq LIMIT 1
  `);
  const letGo = db.prepare(`
    UPDATE pubsub_delivery SET due_time = (SELECT due_time FROM pubsub_event WHERE seq = ?1) WHERE seq = ?1 AND group_id = ?2
  `);
  return {
    isTaken: (group, key) => first.get(group, key) !== undefined,
    advance(group, key) {
      const next = first.get(group, key);
      if (next !== undefined && next.due_time === null) letGo.run(next.seq ?? 0, group);
    },
  };
}
