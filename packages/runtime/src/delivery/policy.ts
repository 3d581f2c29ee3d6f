import type { Settlement } from "@mecha/component";

/** How often and how soon a delivery that failed is tried again, and how long the app has for each. */
export interface DeliveryPolicy {
  readonly maxAttempts: number;
  readonly minBackoffMs: number;
  readonly maxBackoffMs: number;
  readonly ackTimeoutMs: number;
}

/**
 * How long to wait after the `attempt`-th failure: exponential, with equal jitter, so that what failed together does not come again
 * together (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
 */
export function backoffMs(policy: Pick<DeliveryPolicy, "minBackoffMs" | "maxBackoffMs">, attempt: number): number {
  const full = Math.min(policy.maxBackoffMs, policy.minBackoffMs * 2 ** Math.min(attempt - 1, 40));
  return Math.round(full / 2 + Math.random() * (full / 2));
}

/** What the app says of a delivery. */
export type Disposition =
  | { readonly type: "ack" }
  /** `afterMs` undefined: by the policy's backoff. */
  | { readonly type: "retry"; readonly afterMs: number | undefined; readonly error: string }
  | { readonly type: "reject"; readonly error: string }
  /** It never reached the app: it costs no attempt. */
  | { readonly type: "release" };

/** The lease outlives the app's time to answer by this much, so that an ack in the last moment still counts. */
export const leaseMarginMs = 500;

/** Whether an attempt is one too many: the one before it ended without a word of the app. */
export function isOutOfAttempts(attempt: number, { maxAttempts }: DeliveryPolicy): boolean {
  return attempt > maxAttempts;
}

/** What becomes of a lease by what the app says and how often it was tried: the one budget that there is. */
export function toSettlement(
  { handle, attempt }: { readonly handle: string; readonly attempt: number },
  policy: DeliveryPolicy,
  disposition: Disposition,
): Settlement {
  if (disposition.type === "ack" || disposition.type === "release") return { type: disposition.type, handle };
  const { error } = disposition;
  if (disposition.type === "reject" || attempt >= policy.maxAttempts) return { type: "dead", handle, error };
  return { type: "retry", handle, afterMs: disposition.afterMs ?? backoffMs(policy, attempt), error };
}
