import { Code, ConnectError } from "@connectrpc/connect";

/** Why a call that its caller or its deadline ended failed. */
export function toAbortError(reason: unknown): ConnectError {
  return ConnectError.from(reason, Code.Canceled);
}

/** The deadline's error, in Connect's words. */
export function deadlineExceeded(): ConnectError {
  return new ConnectError("the operation timed out", Code.DeadlineExceeded);
}

/** What ends a call early, on the caller's side: its signal or its deadline, whichever is first. Must be cleared when the call ends. */
export class EarlyEnd {
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort: (() => void) | undefined;
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(signal: AbortSignal | undefined, timeoutMs: number | undefined, end: (error: ConnectError) => void) {
    this.#signal = signal;
    if (signal?.aborted) {
      end(toAbortError(signal.reason));
      return;
    }
    if (signal) {
      this.#onAbort = () => end(toAbortError(signal.reason));
      signal.addEventListener("abort", this.#onAbort, { once: true });
    }
    // A longer delay than Node's timers can hold would fire at once.
    if (timeoutMs !== undefined && timeoutMs < 2 ** 31) {
      this.#timer = setTimeout(() => end(deadlineExceeded()), timeoutMs);
    }
  }

  clear(): void {
    if (this.#onAbort) this.#signal?.removeEventListener("abort", this.#onAbort);
    clearTimeout(this.#timer);
  }
}
