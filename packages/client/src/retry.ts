import { abortError, badRequest, type MechaError } from "./errors.js";

/** How failed calls are tried again. */
export interface RetryOptions {
  /** How often a call is sent at the most: 1 or more. Default 10. */
  maxAttempts?: number;
  /** The wait before the second attempt, in ms; each later one doubles it. Up to half of every wait is random. Default 50. */
  initialDelayMs?: number;
  /** The longest wait, in ms, unless the runtime asks for a longer one. Default 2000. */
  maxDelayMs?: number;
}

/** {@link RetryOptions}, complete. */
export type RetryPolicy = Readonly<Required<RetryOptions>>;

export function resolveRetryOptions(options: RetryOptions | false = {}): RetryPolicy {
  if (options === false) return { maxAttempts: 1, initialDelayMs: 0, maxDelayMs: 0 };
  const policy = { maxAttempts: 10, initialDelayMs: 50, maxDelayMs: 2000, ...options };
  if (!(policy.maxAttempts >= 1)) throw badRequest("retry.maxAttempts", `must be 1 or more, is ${policy.maxAttempts}`);
  return policy;
}

/** Time and chance, for tests to decide. */
export interface Waiting {
  /** Milliseconds since some moment. */
  now(): number;
  /** From 0 to 1. */
  random(): number;
  /** Waits; rejects when `signal` aborts. */
  sleep(delayMs: number, signal: AbortSignal | undefined): Promise<void>;
}

export const realWaiting: Waiting = { now: () => performance.now(), random: Math.random, sleep };

/**
 * How long to wait before the next attempt, in ms: exponential, half of it random so that clients which failed together do not come back
 * together, and never before the runtime said.
 *
 * @param attempt which attempt failed, from 1.
 */
export function backoffMs(
  policy: RetryPolicy,
  attempt: number,
  error: MechaError | undefined,
  random: () => number,
): number {
  const ceilingMs = Math.min(policy.maxDelayMs, policy.initialDelayMs * 2 ** (attempt - 1));
  return Math.max(error?.retryAfter ?? 0, ceilingMs / 2) + (ceilingMs / 2) * random();
}

/** Waits; throws a `canceled` MechaError when `signal` aborts. */
export function sleep(delayMs: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const cancel = () => {
      clearTimeout(timer);
      reject(abortError(signal));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", cancel);
      resolve();
    }, delayMs);
    if (signal?.aborted) cancel();
    else signal?.addEventListener("abort", cancel, { once: true });
  });
}
