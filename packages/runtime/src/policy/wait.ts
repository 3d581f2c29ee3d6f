/** A while in which something is left alone, by the wall clock. */
export interface Wait {
  readonly ms: number;
  readonly endTime: number;
}

/** One that is over. */
export const noWait: Wait = { ms: 0, endTime: 0 };

export const startWait = (ms: number, now: number): Wait => ({ ms, endTime: now + ms });

/** By how much a clock may be set back before waits take note, in ms: what is corrected all day must end none of them. */
const smallStepMs = 1_000;

/** How much of it is left, in ms; 0 if it is over. */
export function leftOf({ ms, endTime }: Wait, now: number): number {
  const left = endTime - now;
  // More than all of it: the clock was set back since, and that must make no wait longer.
  return left > ms + smallStepMs ? 0 : Math.max(0, Math.min(ms, left));
}
