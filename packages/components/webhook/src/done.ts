/** Requests that were done lately, by their signatures: one that comes again within the window is a replay, or a sender that missed the answer. */
export interface DoneRequests {
  has(signature: string, now: number): boolean;
  add(signature: string, now: number): void;
}

/** How many are remembered at the most; the oldest give way. */
const maxRemembered = 100_000;

export function createDoneRequests(windowMs: number): DoneRequests {
  /** Until when each is remembered. Added in the order of time, so the oldest come first. */
  const until = new Map<string, number>();
  const forget = (now: number) => {
    for (const [signature, time] of until) {
      if (time > now && until.size <= maxRemembered) break;
      until.delete(signature);
    }
  };
  return {
    has(signature, now) {
      forget(now);
      return until.has(signature);
    },
    add(signature, now) {
      // What is signed may be ahead by as much as it may be late.
      until.set(signature, now + 2 * windowMs);
      forget(now);
    },
  };
}
