import { ComponentError } from "../errors.js";
import type { PublishOutcome, PubSubEntry } from "./interface.js";

/**
 * Publishes entries one after the other, such that after one that failed, later ones with its topic and ordering key fail too
 * (EARLIER_FAILED): the caller can send the failed ones again and has them in order.
 */
export function publishInOrder(
  entries: readonly PubSubEntry[],
  publish: (entry: PubSubEntry) => PublishOutcome,
): PublishOutcome[] {
  const failed = new Map<string, string>();
  return entries.map((entry) => {
    const key = `${entry.topic}\n${entry.orderingKey}`;
    const earlier = entry.orderingKey === "" ? undefined : failed.get(key);
    if (earlier !== undefined) {
      const message = `event "${entry.id}" was not published, since event "${earlier}" of its ordering key failed; publish both again`;
      return { type: "failed", error: new ComponentError("EARLIER_FAILED", message, { metadata: { earlier } }) };
    }
    const outcome = publish(entry);
    if (outcome.type === "failed") failed.set(key, entry.id);
    return outcome;
  });
}
