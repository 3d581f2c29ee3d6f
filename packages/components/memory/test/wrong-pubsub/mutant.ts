import type { Change } from "../pubsubs.js";

/** A way in which a pubsub may be wrong, and the cases that must notice. */
export interface Mutant {
  /** Completes "a pubsub that …". */
  readonly name: string;
  readonly caught: readonly string[];
  readonly change: Change;
}

/** Lets everything else that is due happen. */
export const turn = () => new Promise(setImmediate);
