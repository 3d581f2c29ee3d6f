import { backoffMs, createRequestId, MechaError, sleep } from "@mecha/client";
import type { StateItem } from "./item.js";
import type { Expiry, SetOptions, StateCallOptions } from "./options.js";

/** How to update. */
export type UpdateOptions = StateCallOptions & Expiry;

/** What an update wrote. */
export interface Updated<T> {
  readonly value: T;
  readonly etag: string;
}

/** What an update reads and writes with. */
interface Items<In, Out> {
  get(key: string, options: StateCallOptions): Promise<StateItem<Out> | undefined>;
  set(key: string, value: In, options: SetOptions): Promise<{ readonly etag: string }>;
}

/** Whoever lost a race reads again soon, at a random moment, so that many writers of one key do not collide forever. */
const contention = { maxAttempts: Number.POSITIVE_INFINITY, initialDelayMs: 2, maxDelayMs: 250 };

/**
 * Reads, computes and writes back if nobody wrote in between, else starts again, until the deadline. Each write has a request id: the effect
 * happens exactly once, whatever happens to the connection.
 */
export async function update<In, Out>(
  items: Items<In, Out>,
  key: string,
  change: (value: Out | undefined, item: StateItem<Out> | undefined) => In | Promise<In>,
  options: UpdateOptions,
  timeoutMs: number,
): Promise<Updated<In>> {
  const { ttl, ...call } = options;
  const expiry = ttl === undefined ? undefined : { ttl };
  const deadline = performance.now() + timeoutMs;
  const leftMs = () => Math.max(1, deadline - performance.now());
  for (let attempt = 1; ; attempt++) {
    const item = await items.get(key, { ...call, timeoutMs: leftMs() });
    const value = await change(item?.value, item);
    try {
      const { etag } = await items.set(key, value, {
        ...call,
        ...expiry,
        ...(item === undefined ? { ifAbsent: true } : { ifMatch: item.etag }),
        timeoutMs: leftMs(),
        requestId: createRequestId(),
      });
      return { value, etag };
    } catch (cause) {
      const error = MechaError.from(cause);
      if (error.reason !== "ETAG_MISMATCH" && error.reason !== "ALREADY_EXISTS") throw error;
      const delayMs = backoffMs(contention, attempt, error, Math.random);
      if (delayMs >= leftMs()) throw error;
      await sleep(delayMs, options.signal);
    }
  }
}
