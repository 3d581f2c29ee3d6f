import type { HeadersLike } from "../call.js";
import { type Duration, toDuration } from "../duration.js";

/** How deliveries are tried again. */
export interface DeliveryRetryOptions {
  /** Deliveries until an event is given up: 1 to 1000. Default 10. */
  maxAttempts?: number;
  /** The wait before the second attempt, in ms or as "1s"; it doubles with each further one. Default 1 s. */
  minBackoff?: Duration;
  /** The longest wait between attempts. Default 5 min. */
  maxBackoff?: Duration;
  /** How long a delivery may go unsettled before it comes again: 1 s to 1 h. Default 30 s. */
  ackTimeout?: Duration;
}

/** How to receive, whatever the block. */
export interface ReceiveOptions {
  /** Bytes of events that may be unsettled at a time. Default 16 MiB. */
  maxInFlightBytes?: number;
  /** How long to try again when the runtime is away, in ms. Default 60 000; `Infinity` never gives up. */
  reconnectTimeoutMs?: number;
  /** Ends the subscription. */
  signal?: AbortSignal;
  headers?: HeadersLike;
}

/** How deliveries are tried again, as contracts say it. */
export function toRetryPolicy({ maxAttempts = 0, minBackoff, maxBackoff, ackTimeout }: DeliveryRetryOptions) {
  return {
    retry: {
      maxAttempts,
      ...(minBackoff !== undefined && { minBackoff: toDuration(minBackoff, "minBackoff") }),
      ...(maxBackoff !== undefined && { maxBackoff: toDuration(maxBackoff, "maxBackoff") }),
    },
    ...(ackTimeout !== undefined && { ackTimeout: toDuration(ackTimeout, "ackTimeout") }),
  };
}
