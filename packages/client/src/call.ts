import { badRequest } from "./errors.js";

/** What `new Headers()` takes. */
export type HeadersLike = NonNullable<ConstructorParameters<typeof Headers>[0]>;

/** What every call takes. */
export interface CallOptions {
  /** Cancels the call: it throws a MechaError with code `canceled`. */
  signal?: AbortSignal;
  /** The call's deadline, retries included, in ms: 1 to 2147483647. Default: the client's `timeoutMs`. */
  timeoutMs?: number;
  /** Headers that go with the call. */
  headers?: HeadersLike;
}

/** The longest delay a timer takes, in ms; a longer one would fire at once. */
const longestTimeoutMs = 2 ** 31 - 1;

/** A deadline in whole ms, as the wire wants it. Throws BAD_REQUEST for one that a timer cannot keep. */
export function checkTimeoutMs(timeoutMs: number): number {
  if (timeoutMs >= 1 && timeoutMs <= longestTimeoutMs) return Math.ceil(timeoutMs);
  throw badRequest("timeoutMs", `must be from 1 to ${longestTimeoutMs} milliseconds, is ${timeoutMs}`);
}

/** The message-level options of a call, without what a block adds to them. */
export function toRpcOptions({ signal, timeoutMs, headers }: CallOptions): CallOptions {
  return {
    ...(signal !== undefined && { signal }),
    ...(timeoutMs !== undefined && { timeoutMs }),
    ...(headers !== undefined && { headers }),
  };
}
