import type { Clock } from "@mecha/component";
import type { Connection } from "./connection.js";
import type { PubSubReads } from "./pubsub-reads.js";

/** Looking takes at most one part in this many of the event loop's time, plus one, however many groups wait. */
const restFactor = 4;
const maxRestMs = 20;

/** Looks for all consumers that wait, and wakes one of each group that has something to take. */
export interface Arrivals {
  /** Resolves when there may be something to take for a group, when `signal` aborts, or when the connection closes. */
  next(group: number, signal: AbortSignal): Promise<void>;
  /** Looks anew: whoever was woken is done, and may have left something. */
  look(): void;
  close(): void;
}

/** Makes arrivals; they look only while somebody waits. */
export function createArrivals({ reader, changes, closing }: Connection, reads: PubSubReads, clock: Clock): Arrivals {
  const waiting = new Map<number, Set<() => void>>();
  let unsubscribe: (() => void) | undefined;
  let isScheduled: boolean = false;
  let restUntil = 0;
  let cancelTimer = () => {};

  function look(): void {
    if (isScheduled || waiting.size === 0) return;
    isScheduled = true;
    const restMs = restUntil - performance.now();
    if (restMs < 1) setImmediate(lookNow);
    else setTimeout(lookNow, restMs);
  }

  async function lookNow(): Promise<void> {
    isScheduled = false;
    const began = performance.now();
    try {
      let earliest = Number.POSITIVE_INFINITY;
      const now = clock.now();
      for (const group of waiting.keys()) {
        const found = reader.read(() => reads.readyTime(group));
        const time = found instanceof Promise ? await found : found;
        if (time === undefined) continue;
        if (time <= now) wakeOne(group);
        else earliest = Math.min(earliest, time);
      }
      cancelTimer();
      if (earliest < Number.POSITIVE_INFINITY) cancelTimer = clock.after(Math.max(1, earliest - now), look);
    } catch {
      // The reader has logged it. Those who wait ask for themselves, and meet the error if it lasts.
      wakeAll();
    }
    restUntil = performance.now() + Math.min(maxRestMs, (performance.now() - began) * restFactor);
  }

  function wakeOne(group: number): void {
    const [wake] = waiting.get(group) ?? [];
    wake?.();
  }

  function wakeAll(): void {
    for (const waiters of [...waiting.values()]) for (const wake of [...waiters]) wake();
  }

  closing.addEventListener("abort", wakeAll);

  return {
    next(group, signal) {
      return new Promise((resolve) => {
        if (signal.aborted || closing.aborted) return resolve();
        const waiters = waiting.get(group) ?? new Set();
        const wake = () => {
          signal.removeEventListener("abort", wake);
          waiters.delete(wake);
          if (waiters.size === 0 && waiting.get(group) === waiters) waiting.delete(group);
          if (waiting.size === 0) {
            unsubscribe?.();
            unsubscribe = undefined;
            cancelTimer();
          }
          resolve();
        };
        signal.addEventListener("abort", wake);
        waiting.set(group, waiters.add(wake));
        unsubscribe ??= changes.subscribe(look);
        // Something may have been committed since the caller looked.
        look();
      });
    },
    look,
    close() {
      wakeAll();
      cancelTimer();
    },
  };
}
