/** A while in which something is left alone, by the wall clock. */
export interface Wait {
  readonly ms: number;
  readonly endTime: number;
}

/** One that is over. */
export const noWait: Wait = { ms: 0, endTime: 0 };

export const startWait = (ms: number, now: number): Wait => ({ ms, endTime: now + ms });

/** How much of it is left, in ms; 0 if it is over. */
export function leftOf({ ms, endTime }: Wait, now: number): number {
  const left = endTime - now;
  // More than all of it: the clock was set back since, and that must make no wait longer.
  return left > ms ? 0 : Math.max(0, left);
}
