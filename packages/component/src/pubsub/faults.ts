import { ComponentError } from "../errors.js";
import type { StatePublish } from "../state/interface.js";
import type { PublishOutcome, PubSubEntry } from "./interface.js";

/** Entries that can be published, and how to make their outcomes those of all entries. */
export interface SetAside {
  readonly sound: readonly PubSubEntry[];
  /** @param outcomes one per sound entry, in their order */
  merge(outcomes: readonly PublishOutcome[]): readonly PublishOutcome[];
}

/**
 * Sets aside the entries that cannot be published, and with each what follows it by its topic and ordering key (EARLIER_FAILED): the
 * caller can send those again and has them in order.
 */
export function setFaultyAside(
  entries: readonly PubSubEntry[],
  faultOf: (entry: PubSubEntry) => ComponentError | undefined,
): SetAside {
  const failed = new Map<string, string>();
  const faults = entries.map((entry) => {
    const key = entry.orderingKey === "" ? undefined : `${entry.topic}\n${entry.orderingKey}`;
    const earlier = key === undefined ? undefined : failed.get(key);
    const fault = earlier === undefined ? faultOf(entry) : earlierFailed(entry.id, earlier);
    if (fault !== undefined && key !== undefined && earlier === undefined) failed.set(key, entry.id);
    return fault;
  });
  if (faults.every((fault) => fault === undefined)) return { sound: entries, merge: (outcomes) => outcomes };
  return {
    sound: entries.filter((_, index) => faults[index] === undefined),
    merge(outcomes) {
      const rest = outcomes.values();
      return faults.map((error) => {
        if (error !== undefined) return { type: "failed", error };
        const { value } = rest.next();
        if (value === undefined) throw new Error("there are fewer outcomes than entries");
        return value;
      });
    },
  };
}

/** What a caller is told of an entry that was held back since one before it, of its topic and ordering key, failed. */
export function earlierFailed(id: string, earlier: string): ComponentError {
  const message = `event "${id}" was not published, since event "${earlier}" of its ordering key failed; publish both again`;
  return new ComponentError("EARLIER_FAILED", message, { metadata: { earlier } });
}

/** Requires that everything a write publishes can be published; `StateStore.write` begins with it. Throws the first fault, with its `publish_index`. */
export function requirePublishable(
  publishes: readonly StatePublish[],
  faultOf: (entry: PubSubEntry) => ComponentError | undefined,
): void {
  for (const [index, { entry }] of publishes.entries()) {
    const fault = faultOf(entry);
    if (fault === undefined) continue;
    const { reason, message, retryAfterMs, violations } = fault;
    throw new ComponentError(reason, message, {
      metadata: { ...fault.metadata, publish_index: String(index) },
      violations: [...violations],
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    });
  }
}
