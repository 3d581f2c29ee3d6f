import type { Clock } from "./clock.js";

/** A clock that stands still until a test turns it. */
export interface ManualClock extends Clock {
  /** Moves the clock on by `ms` and calls, in the order of their times, what `after` put off until then. */
  advance(ms: number): void;
  /** How many callbacks are put off and not cancelled. */
  readonly pending: number;
}

/** Makes a clock for tests. It begins at `startMs`, ms since the Unix epoch; by default at the start of 2026. */
export function createManualClock(startMs: number = Date.UTC(2026, 0, 1)): ManualClock {
  let now = startMs;
  const timers = new Set<{ readonly time: number; readonly callback: () => void }>();
  const nextDue = (time: number) => {
    let next: { readonly time: number; readonly callback: () => void } | undefined;
    for (const timer of timers) {
      if (timer.time <= time && (next === undefined || timer.time < next.time)) next = timer;
    }
    return next;
  };
  return {
    now: () => now,
    after(delayMs, callback) {
      const timer = { time: now + Math.max(0, delayMs), callback };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    advance(ms) {
      const end = now + ms;
      // One timer at a time, because a callback may set another that is due before `end`.
      for (let timer = nextDue(end); timer !== undefined; timer = nextDue(end)) {
        timers.delete(timer);
        now = Math.max(now, timer.time);
        timer.callback();
      }
      now = end;
    },
    get pending() {
      return timers.size;
    },
  };
}
