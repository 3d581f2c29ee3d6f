import { ComponentError, type PubSubEntry } from "@mecha/component";
import type { BareEntry } from "./pubsub-jobs.js";

/** Why an entry cannot be published; undefined if it can. */
export function faultOf({ metadata }: PubSubEntry): ComponentError | undefined {
  const [key] = Object.keys(metadata);
  if (key === undefined) return undefined;
  const message = `the sqlite component knows no metadata; remove "${key}"`;
  return new ComponentError("BAD_REQUEST", message, { metadata: { key } });
}

/** An entry as the writer takes it: its payload goes beside it. */
export const toBareEntry = ({ topic, source, id, orderingKey, delayMs, ttlMs }: PubSubEntry): BareEntry => ({
  topic,
  source,
  id,
  orderingKey,
  delayMs,
  ttlMs: ttlMs ?? null,
});
