/** What an app that ended is started anew for. */
export const restartPolicies = ["never", "on-failure", "always"] as const;

/** When an app that ended is started anew, and how soon. */
export interface RestartOptions {
  policy: (typeof restartPolicies)[number];
  /** The wait before the first restart, in ms; it doubles with each further one. */
  minBackoffMs: number;
  /** The longest wait, in ms. */
  maxBackoffMs: number;
  /** Once an app ran for so long, in ms, what was before is forgotten. */
  resetAfterMs: number;
}

/** What holds where nothing else is said. */
export const defaultRestart = { minBackoffMs: 500, maxBackoffMs: 30_000, resetAfterMs: 10_000 };

/** Waits are spread by so much to either side, so that apps which fail together do not come back together. */
const jitter = 0.2;

/** The restarts of one app. */
export interface Restarts {
  /** The app ended, after `ranMs`: how long to wait before it is started anew, and for the how manieth time; undefined: it is not. */
  next(end: { failed: boolean; ranMs: number }): { afterMs: number; count: number } | undefined;
  /** Forgets what was: the app is about to be another. */
  reset(): void;
}

/** Decides by `options`; `random` is from 0 to 1. */
export function createRestarts(options: RestartOptions, random: () => number = Math.random): Restarts {
  const { policy, minBackoffMs, maxBackoffMs, resetAfterMs } = options;
  let count = 0;
  return {
    next({ failed, ranMs }) {
      if (policy === "never" || (policy === "on-failure" && !failed)) return undefined;
      if (ranMs >= resetAfterMs) count = 0;
      const wait = minBackoffMs * 2 ** Math.min(count, 30);
      count++;
      return { afterMs: Math.min(wait * (1 - jitter + 2 * jitter * random()), maxBackoffMs), count };
    },
    reset() {
      count = 0;
    },
  };
}
