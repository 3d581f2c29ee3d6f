import { ComponentError } from "../errors.js";
import { earlierFailed } from "./faults.js";
import type { PublishOutcome, PubSubEntry } from "./interface.js";

/**
 * Publishes entries for a broker that answers for each one: all at once, but those of one topic and ordering key one after the other, so that
 * none is stored after one before it that failed. Throws if nothing was done.
 */
export async function publishInOrder(
  entries: readonly PubSubEntry[],
  publish: (entry: PubSubEntry) => Promise<PublishOutcome>,
): Promise<readonly PublishOutcome[]> {
  const last = new Map<string, { readonly id: string; readonly outcome: Promise<PublishOutcome> }>();
  const outcomes = await Promise.all(
    entries.map((entry) => {
      if (entry.orderingKey === "") return publish(entry);
      const key = `${entry.topic}\n${entry.orderingKey}`;
      const earlier = last.get(key);
      const outcome = earlier === undefined ? publish(entry) : publishAfter(earlier, entry, publish);
      last.set(key, { id: entry.id, outcome });
      return outcome;
    }),
  );
  const isAway = (outcome: PublishOutcome) =>
    outcome.type === "failed" && ["COMPONENT_UNAVAILABLE", "EARLIER_FAILED"].includes(outcome.error.reason);
  const [first] = outcomes;
  if (first?.type === "failed" && outcomes.every(isAway)) throw first.error;
  return outcomes;
}

async function publishAfter(
  earlier: { readonly id: string; readonly outcome: Promise<PublishOutcome> },
  entry: PubSubEntry,
  publish: (entry: PubSubEntry) => Promise<PublishOutcome>,
): Promise<PublishOutcome> {
  const before = await earlier.outcome;
  if (before.type !== "failed") return publish(entry);
  const { metadata, reason } = before.error;
  const first = reason === "EARLIER_FAILED" ? (metadata.earlier ?? earlier.id) : earlier.id;
  return { type: "failed", error: earlierFailed(entry.id, first) };
}

/** What a caller is told whose signal aborted before its event was sent. */
export function gone(cause: unknown): ComponentError {
  return new ComponentError("CANCELED", "the caller has gone before the event was sent; it was not published", {
    cause,
  });
}
