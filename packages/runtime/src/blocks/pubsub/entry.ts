import type { Event, PublishEntry } from "@mecha/api/pubsub";
import { ComponentError, type PubSubEntry } from "@mecha/component";
import type { Binding } from "../../components/registry.js";
import type { Identity } from "../runtime/info.js";
import { requireFeature, Violations } from "../validation.js";
import { encodeEvent, encodeEvents } from "./encode-event.js";
import { toEvent } from "./event.js";
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
  context: EntryContext,
  violations: Violations,
): ReadEntry {
  const { entry, event } = readBare(message, path, context, violations);
  return { entry: { ...entry, payload: encodeEvent(event) }, event };
}

/** Checks all entries of a request, as {@link readEntry} does; throws BAD_REQUEST if something is wrong with one. */
export function readEntries(messages: readonly PublishEntry[], context: EntryContext): PubSubEntry[] {
  const violations = new Violations();
  const bare = messages.map((message, index) => readBare(message, `entries[${index}].`, context, violations));
  violations.throwIfAny();
  const payloads = encodeEvents(bare.map(({ event }) => event));
  return bare.map(({ entry }, index) => {
    const payload = payloads[index];
    if (payload === undefined) throw new Error("an event was not encoded");
    return { ...entry, payload };
  });
}

/** An entry whose event is not encoded yet. */
interface BareEntry {
  readonly entry: Omit<PubSubEntry, "payload">;
  readonly event: Event;
}

function readBare(
  message: PublishEntry,
  path: string,
  { binding, identity, now, id, traceparent }: EntryContext,
  violations: Violations,
): BareEntry {
  const options = checkEntry(message, path, violations);
  const source = `/ns/${identity.namespace}/app/${identity.appId}`;
  const event = toEvent(message, path, { source, now, id, traceparent }, violations);
  requireOptions(options, binding);
  const { topic, orderingKey, metadata } = message;
  return { entry: { topic, source: event.source, id: event.id, orderingKey, metadata, ...options }, event };
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
