import { hash } from "node:crypto";
import type { PubSubEntry } from "@mecha/component";
import { headers, type Msg, type MsgHdrs } from "@nats-io/transport-node";

/** Room for headers beside an event, in bytes, of what a message may have. */
export const headerBytes = 8 * 1024;
/** Of an error that is kept with a dead letter, in characters. */
const maxErrorLength = 1024;

const names = {
  messageId: "Nats-Msg-Id",
  key: "Mecha-Key",
  delay: "Mecha-Delay",
  ttl: "Mecha-TTL",
  group: "Mecha-Group",
  attempts: "Mecha-Attempts",
  error: "Mecha-Error",
} as const;

/** What stands with an event, beside its payload. */
export interface EventHeaders {
  readonly orderingKey: string;
  /** From when it was stored, in ms. */
  readonly delayMs: number;
  readonly ttlMs: number | undefined;
  /** The only group that it is for; empty: all. */
  readonly group: string;
}

const plain: EventHeaders = { orderingKey: "", delayMs: 0, ttlMs: undefined, group: "" };

/** What JetStream tells an event from others by: (source, id); a stream is one topic's. */
export function messageIdOf({ source, id }: Pick<PubSubEntry, "source" | "id">): string {
  return hash("sha256", `${source}\n${id}`, "base64url").slice(0, 32);
}

/** Headers of an event. Values are encoded: headers hold no line breaks, and lose spaces at their ends. */
export function toHeaders(messageId: string, event: Partial<EventHeaders> = {}): MsgHdrs {
  const result = headers();
  result.append(names.messageId, messageId);
  const { orderingKey, delayMs, ttlMs, group } = { ...plain, ...event };
  if (orderingKey !== "") result.append(names.key, encodeURIComponent(orderingKey));
  if (delayMs > 0) result.append(names.delay, String(delayMs));
  if (ttlMs !== undefined) result.append(names.ttl, String(ttlMs));
  if (group !== "") result.append(names.group, encodeURIComponent(group));
  return result;
}

export function readHeaders(from: MsgHdrs | undefined): EventHeaders {
  // Most events have none but the id: then there is nothing to look for.
  if (from === undefined || from.keys().length < 2) return plain;
  const ttl = from.get(names.ttl);
  return {
    orderingKey: decodeURIComponent(from.get(names.key)),
    delayMs: Number(from.get(names.delay) || 0),
    ttlMs: ttl === "" ? undefined : Number(ttl),
    group: decodeURIComponent(from.get(names.group)),
  };
}

/** What stands with a dead letter. */
export interface DeadHeaders {
  readonly orderingKey: string;
  readonly attempts: number;
  readonly error: string;
}

export function toDeadHeaders(messageId: string, { orderingKey, attempts, error }: DeadHeaders): MsgHdrs {
  const result = toHeaders(messageId, { orderingKey });
  result.append(names.attempts, String(attempts));
  // Half a surrogate pair, where it is cut, cannot be encoded.
  result.append(names.error, encodeURIComponent(error.slice(0, maxErrorLength).toWellFormed()));
  return result;
}

export function readDeadHeaders(from: MsgHdrs): DeadHeaders {
  return {
    orderingKey: decodeURIComponent(from.get(names.key)),
    attempts: Number(from.get(names.attempts)),
    error: decodeURIComponent(from.get(names.error)),
  };
}

/** What a message's reply subject tells of its delivery. */
export interface DeliveryFacts {
  readonly consumer: string;
  /** 1 for the first. */
  readonly deliveries: number;
  /** Its place in the stream. */
  readonly sequence: number;
  /** When it was stored, by the server's clock, in ms since the epoch. */
  readonly time: number;
}

/**
 * Reads `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream sequence>.<consumer sequence>.<time>.<pending>`; newer servers put a domain and an
 * account before the stream, and may put more at the end (https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-15.md).
 */
export function readDelivery({ reply = "" }: Msg): DeliveryFacts {
  const tokens = reply.split(".");
  const at = tokens.length > 9 ? 5 : 3;
  const [consumer = "", deliveries, sequence, , nanoseconds = ""] = tokens.slice(at);
  return {
    consumer,
    deliveries: Number(deliveries),
    sequence: Number(sequence),
    // Nanoseconds since the epoch are beyond what a number holds exactly.
    time: Number(nanoseconds.slice(0, -6)),
  };
}
