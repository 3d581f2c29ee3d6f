/** Counts the requests that are being served, so that a drain can wait for them. */
export interface InFlight {
  add(): void;
  remove(): void;
  /** Waits until none is left, at most this long; says whether none is left. */
  idle(deadlineMs: number): Promise<boolean>;
}

/** Makes a counter. */
export function createInFlight(): InFlight {
  let count = 0;
  let notify: (() => void) | undefined;
  return {
    add() {
      count++;
    },
    remove() {
      if (--count === 0) notify?.();
    },
    async idle(deadlineMs) {
      if (count === 0) return true;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, deadlineMs);
        notify = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      notify = undefined;
      return count === 0;
    },
  };
}
