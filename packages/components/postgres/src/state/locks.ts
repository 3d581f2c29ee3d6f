import { crc32 } from "node:zlib";
import type { StateOperation, StateRequestId } from "@mecha/component";

/**
 * Every writer locks its keys, absent ones too, until its commit is visible: so what it found still holds then, and the order in which
 * commits become visible is an order in which they could have happened one after the other.
 *
 * A key's lock is one of so many buckets. Their number bounds what all writers together may take of the server's shared lock table (about
 * 6,400 entries by default); two keys in one bucket wait for each other now and then, and no more.
 */
const buckets = 4_096;

/** The bucket of a key, from 1: the same in every runtime, now and later. */
export const bucketOf = (keyspace: string, key: string): number => (crc32(key, crc32(`${keyspace}\0`)) % buckets) + 1;

/**
 * What a write must lock, in the one order that all writers keep, so that none waits for another in a circle. A negative number is shared: checks
 * of the same key need not wait for each other.
 */
export function locksOf(
  keyspace: string,
  operations: readonly StateOperation[],
  requestId: StateRequestId | undefined,
): number[] {
  const exclusive = new Map<number, boolean>();
  for (const { type, key } of operations) {
    const bucket = bucketOf(keyspace, key);
    exclusive.set(bucket, type !== "check" || exclusive.get(bucket) === true);
  }
  // No key holds U+0000, so a request id is nobody's key.
  if (requestId !== undefined) exclusive.set(bucketOf(keyspace, `\0${requestId.id}`), true);
  return [...exclusive].sort(([a], [b]) => a - b).map(([bucket, isExclusive]) => (isExclusive ? bucket : -bucket));
}
