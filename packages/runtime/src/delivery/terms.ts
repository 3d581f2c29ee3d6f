import { create } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import { type RetryPolicy, RetryPolicySchema } from "@mecha/api/pubsub";
import { toCount, within } from "../blocks/bounds.js";
import { toDuration } from "../blocks/time.js";
import type { Violations } from "../blocks/validation.js";
import type { Credit } from "./dispatcher.js";
import type { DeliveryPolicy } from "./policy.js";

export const secondMs = 1_000;
export const hourMs = 60 * 60 * secondMs;
export const dayMs = 24 * hourMs;

/** The bounds of a policy; durations in ms. */
export const policyLimits = {
  maxAttempts: [1, 1000],
  minBackoffMs: [0, hourMs],
  maxBackoffMs: [0, dayMs],
  ackTimeoutMs: [secondMs, hourMs],
} as const;

/** What is in effect where nobody asks for anything. */
export const defaultPolicy: DeliveryPolicy = {
  maxAttempts: 10,
  minBackoffMs: secondMs,
  maxBackoffMs: 5 * 60 * secondMs,
  ackTimeoutMs: 30 * secondMs,
};

/** How failed deliveries are tried again, with defaults for what is not set. */
export function toPolicy(
  { retry, ackTimeout }: { readonly retry?: RetryPolicy | undefined; readonly ackTimeout?: Duration | undefined },
  path: string,
  violations: Violations,
): DeliveryPolicy {
  const at = `${path}retry.`;
  const maxAttempts = toCount(
    retry?.maxAttempts ?? 0,
    policyLimits.maxAttempts,
    defaultPolicy.maxAttempts,
    `${at}max_attempts`,
    violations,
  );
  const minBackoffMs = within(
    retry?.minBackoff,
    policyLimits.minBackoffMs,
    defaultPolicy.minBackoffMs,
    `${at}min_backoff`,
    violations,
  );
  const maxBackoffMs = within(
    retry?.maxBackoff,
    policyLimits.maxBackoffMs,
    Math.max(defaultPolicy.maxBackoffMs, minBackoffMs),
    `${at}max_backoff`,
    violations,
  );
  if (maxBackoffMs < minBackoffMs) violations.add(`${at}max_backoff`, "is less than min_backoff");
  const ackTimeoutMs = within(
    ackTimeout,
    policyLimits.ackTimeoutMs,
    defaultPolicy.ackTimeoutMs,
    `${path}ack_timeout`,
    violations,
  );
  return { maxAttempts, minBackoffMs, maxBackoffMs, ackTimeoutMs };
}

/** A policy as messages. */
export function toPolicyMessage({ maxAttempts, minBackoffMs, maxBackoffMs, ackTimeoutMs }: DeliveryPolicy): {
  retry: RetryPolicy;
  ackTimeout: Duration;
} {
  const [minBackoff, maxBackoff] = [toDuration(minBackoffMs), toDuration(maxBackoffMs)];
  return {
    retry: create(RetryPolicySchema, { maxAttempts, minBackoff, maxBackoff }),
    ackTimeout: toDuration(ackTimeoutMs),
  };
}

/** How much may be unsettled on a stream. */
export function toCredit(
  open: { readonly maxInFlight: number; readonly maxInFlightBytes: bigint },
  violations: Violations,
): Credit {
  const bytes = Number(open.maxInFlightBytes);
  return {
    maxItems: toCount(open.maxInFlight, [1, 10_000], 64, "open.max_in_flight", violations),
    maxBytes: toCount(bytes, [1024, 256 * 1024 * 1024], 16 * 1024 * 1024, "open.max_in_flight_bytes", violations),
  };
}

/** How much a Pull takes, and how long it waits. */
export function toPullLimits(
  {
    open,
    wait,
  }: { readonly open?: { readonly maxInFlight: number } | undefined; readonly wait?: Duration | undefined },
  violations: Violations,
): { readonly maxItems: number; readonly waitMs: number } {
  return {
    maxItems: toCount(open?.maxInFlight ?? 0, [1, 1000], 64, "open.max_in_flight", violations),
    waitMs: within(wait, [0, 30 * secondMs], 0, "wait", violations),
  };
}
