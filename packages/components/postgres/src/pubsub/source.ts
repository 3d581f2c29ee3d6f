import type { DeliverySource, GroupCall, Lease, Settlement } from "@mecha/component";
import type { Arrivals } from "./arrivals.js";
import type { Claims } from "./claims.js";
import type { StoredGroup } from "./groups.js";
import type { createSettlements } from "./settlements.js";

/** What a source needs of its pubsub. */
export interface SourceContext {
  readonly arrivals: Arrivals;
  readonly settlements: ReturnType<typeof createSettlements>;
  find(call: GroupCall): Promise<StoredGroup | undefined>;
  claimsOf(group: StoredGroup): Claims;
  /** Others may have something to take that they had not. */
  tell(): void;
  /** Called when the source is closed. */
  onClose(): void;
}

/** One consumer of a group. All that it knows beside what it holds is in the tables. */
export function createSource(call: GroupCall, context: SourceContext): DeliverySource {
  const { arrivals, settlements } = context;
  /** What it holds, and until when, about; oldest first. */
  const held = new Map<string, number>();
  let known: Promise<StoredGroup> | undefined;
  let isClosed: boolean = false;

  /** The id of a group that was deleted is given to no other, so what was found stays right. */
  function group(): Promise<StoredGroup> {
    known ??= context.find(call).then((found) => {
      if (found !== undefined) return found;
      throw new Error(`group ${call.group} of topic ${call.topic} was not opened`);
    });
    known.catch(() => {
      known = undefined;
    });
    return known;
  }

  async function settle(settlements_: readonly Settlement[]): Promise<boolean[]> {
    for (const { handle } of settlements_) held.delete(handle);
    const own = await group();
    const outcomes = await settlements.settle(own, settlements_);
    // A consumer here or elsewhere may wait for what goes back, or for the next one of a key.
    if (settlements_.some(({ type }) => type === "release" || (own.isOrdered && type !== "retry"))) context.tell();
    else if (settlements_.some(({ type }) => type === "retry")) arrivals.look();
    return outcomes;
  }

  function hold(leases: readonly Lease[], leaseMs: number): void {
    const now = performance.now();
    for (const [handle, end] of held) {
      if (end > now) break;
      held.delete(handle);
    }
    for (const { handle } of leases) held.set(handle, now + leaseMs);
  }

  const release = (handles: readonly string[]) => settle(handles.map((handle) => ({ type: "release", handle })));

  return {
    async receive({ maxItems, maxBytes, leaseMs, signal }) {
      const own = await group();
      const claims = context.claimsOf(own);
      for (;;) {
        // Never taken back: what was claimed by then would have no holder.
        const leases = await claims.claim({ maxItems, maxBytes, leaseMs });
        if (leases.length > 0) {
          arrivals.look();
          if (!isClosed) {
            hold(leases, leaseMs);
            return leases;
          }
          await release(leases.map(({ handle }) => handle));
        }
        if (signal.aborted || isClosed) return [];
        await arrivals.next(own, signal);
        if (signal.aborted || isClosed) return [];
      }
    },

    settle,

    async extend(handles, leaseMs) {
      const outcomes = await settlements.extend(await group(), handles, leaseMs);
      const end = performance.now() + leaseMs;
      for (const [index, handle] of handles.entries()) {
        // Deleted first, so that what ends last stands last.
        if (outcomes[index] && held.delete(handle)) held.set(handle, end);
      }
      return outcomes;
    },

    async close() {
      isClosed = true;
      context.onClose();
      if (held.size > 0) await release([...held.keys()]);
    },
  };
}
