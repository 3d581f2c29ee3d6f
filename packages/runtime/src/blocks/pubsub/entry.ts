import type { Event, PublishEntry } from "@mecha/api/pubsub";
import { ComponentError, type PubSubEntry } from "@mecha/component";
import type { Binding } from "../../components/registry.js";
import type { Identity } from "../runtime/info.js";
import { requireFeature, type Violations } from "../validation.js";
import { encodeEvent, toEvent } from "./event.js";
import { checkEntry } from "./validate.js";

/** What an app asks to publish, checked and filled in: as components take it, and the event in it. */
export interface ReadEntry {
  readonly entry: PubSubEntry;
  readonly event: Event;
}

/** Where an entry is for, and what is known of who publishes it. */
export interface EntryContext {
  readonly binding: Binding<"pubsub">;
  readonly identity: Identity;
  /** Ms since the epoch. */
  readonly now: number;
  /** The id of an event that has none; undefined: a new one. */
  readonly id: string | undefined;
  /** The trace that it is published in, unless the event names one itself. */
  readonly traceparent: string | undefined;
}

/**
 * Checks an entry, wherever it stands in a request: `path` is "entry." or "operations[3].publish.entry.". Throws FEATURE_NOT_SERVED for an option
 * that its component does not serve; its size is judged by {@link sizeFault}.
 */
export function readEntry(
  message: PublishEntry,
  path: string,
  { binding, identity, now, id, traceparent }: EntryContext,
  violations: Violations,
): ReadEntry {
  const options = checkEntry(message, path, violations);
  const source = `/ns/${identity.namespace}/app/${identity.appId}`;
  const event = toEvent(message, path, { source, now, id, traceparent }, violations);
  requireOptions(options, binding);
  const { topic, orderingKey, metadata } = message;
  const payload = encodeEvent(event);
  return { entry: { topic, source: event.source, id: event.id, payload, orderingKey, metadata, ...options }, event };
}

/** Requires that a component serves what an entry asks for. */
export function requireOptions(
  { delayMs, ttlMs }: Pick<PubSubEntry, "delayMs" | "ttlMs">,
  { serve, live }: Binding<"pubsub">,
): void {
  if (delayMs > 0) requireFeature(serve.features, "DELAY", "pubsub", live.plan.name);
  if (ttlMs !== undefined) requireFeature(serve.features, "TTL", "pubsub", live.plan.name);
}

/** TOO_LARGE for an event that its component does not take; undefined if it does. */
export function sizeFault({ id, payload }: PubSubEntry, { serve }: Binding<"pubsub">): ComponentError | undefined {
  if (payload.byteLength <= serve.maxEventBytes) return undefined;
  return tooLargeError(`event "${id}" is`, serve.maxEventBytes, payload.byteLength);
}

export function tooLargeError(what: string, limit: number, actual: number): ComponentError {
  const metadata = { limit_bytes: String(limit), actual_bytes: String(actual) };
  return new ComponentError("TOO_LARGE", `${what} ${actual} bytes; the limit is ${limit}`, { metadata });
}
