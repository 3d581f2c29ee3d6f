import type { AppAnswer } from "../app/client.js";
import type { OutgoingEvent } from "../cloudevents/attributes.js";
import { toBinaryHeaders } from "../cloudevents/binary.js";
import { toJsonText } from "../cloudevents/json.js";
import { batchedType, structuredType } from "../cloudevents/media-type.js";
import type { Disposition } from "../delivery/policy.js";
import type { SubscriptionPlan } from "./plan.js";

/** The longest wait that the app may ask for, and the longest error that a dead letter keeps. */
const maxRetryAfterMs = 24 * 60 * 60 * 1000;
const maxErrorLength = 512;

/** Events as the app gets them. */
export function encodeEvents(
  format: SubscriptionPlan["format"],
  events: readonly OutgoingEvent[],
): { readonly headers: Record<string, string>; readonly body: string | Uint8Array } {
  const [first] = events;
  if (format === "batched" || first === undefined) {
    return { headers: { "content-type": batchedType }, body: `[${events.map(toJsonText).join(",")}]` };
  }
  if (format === "structured") return { headers: { "content-type": structuredType }, body: toJsonText(first) };
  return { headers: toBinaryHeaders(first), body: first.event.data };
}

/** What the app's answer says of what was posted: 2xx that it is done, 410 that it never will be, anything else to try again. */
export function toDisposition(answer: AppAnswer, path: string, now: number): Disposition {
  if (answer.type === "unreachable" || answer.type === "stale") return { type: "release" };
  if (answer.type === "failed") return { type: "retry", afterMs: undefined, error: `${path}: ${answer.error}` };
  const { status, headers, text } = answer;
  if (status >= 200 && status < 300) return { type: "ack" };
  const why = status >= 300 && status < 400 ? "redirects are not followed" : text.trim();
  const error = `${path}: HTTP ${status}${why === "" ? "" : `: ${why}`}`.slice(0, maxErrorLength);
  if (status === 410) return { type: "reject", error };
  return { type: "retry", afterMs: parseRetryAfter(headers["retry-after"], now), error };
}

/** Seconds or a date (RFC 9110, section 10.2.3); undefined for anything else, which leaves it to the backoff. */
function parseRetryAfter(text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined;
  const afterMs = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now;
  return Number.isNaN(afterMs) ? undefined : Math.min(Math.max(afterMs, 0), maxRetryAfterMs);
}
