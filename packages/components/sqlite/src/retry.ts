import { setTimeout as delay } from "node:timers/promises";
import { isBusy, lockedFailure, Refusal } from "./failure.js";

/** How long to wait before asking for a lock again: about as long as a commit takes, so that several processes take turns. */
const retryMs = 1;

/**
 * Runs `action`, again each millisecond while another process holds the file, without blocking the event loop.
 */
export async function retryWhileBusy<T>(action: () => T, timeoutMs: number, signal?: AbortSignal): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    signal?.throwIfAborted();
    try {
      return action();
    } catch (error) {
      if (!isBusy(error)) throw error;
      if (performance.now() >= deadline) throw new Refusal(lockedFailure(timeoutMs));
    }
    await delay(retryMs);
  }
}
