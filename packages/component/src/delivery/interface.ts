import type { Awaitable } from "../state/interface.js";

/** One attempt at delivering one item, held under a lease: until it ends nobody else of the group is given the item. */
export interface Lease {
  /**
   * Names this attempt, to settle or prolong it. Unguessable, since apps see it, and opaque: at most 512 characters of `[A-Za-z0-9._-]`.
   */
  readonly handle: string;
  /** What was stored, as it was handed over. Given away. */
  readonly payload: Uint8Array;
  /** 1 for the first attempt; never too high, too low only after a failure of the infrastructure. */
  readonly attempt: number;
  /** The item's ordering key; empty if it has none. */
  readonly orderingKey: string;
}

/** What becomes of a lease. */
export type Settlement =
  /** Done: never deliver it again. */
  | { readonly type: "ack"; readonly handle: string }
  /** It failed: deliver it again after a while; the attempt counts. */
  | { readonly type: "retry"; readonly handle: string; readonly afterMs: number; readonly error: string }
  /** It was given up: keep it as a dead letter. */
  | { readonly type: "dead"; readonly handle: string; readonly error: string }
  /** It was not tried: deliver it again at once; costs no attempt. */
  | { readonly type: "release"; readonly handle: string };

/** A flow of items from the infrastructure to one consumer. The delivery engine of the runtime drives it. */
export interface DeliverySource {
  /**
   * Takes items under leases of `leaseMs`: at most `maxItems`, and at most `maxBytes` of payload (one item is always allowed). If there is none
   * now it waits for one until `signal` aborts (not at all if it is aborted already), then resolves with none. An item whose lease ended unsettled comes again, its attempt one higher.
   */
  receive(call: {
    readonly maxItems: number;
    readonly maxBytes: number;
    readonly leaseMs: number;
    readonly signal: AbortSignal;
  }): Promise<readonly Lease[]>;
  /** Settles leases, together where the engine can; per settlement, in order, whether it counted (false: stale, nothing was changed). */
  settle(settlements: readonly Settlement[]): Awaitable<readonly boolean[]>;
  /** Makes leases end `leaseMs` from now; per handle whether it counted. */
  extend(handles: readonly string[], leaseMs: number): Awaitable<readonly boolean[]>;
  /** Hands back what it holds, and lets go. Called once. */
  close(): Promise<void>;
}
