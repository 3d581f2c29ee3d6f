import type { DeliverySource, GroupCall, Lease, Settlement } from "@mecha/component";
import type { Arrivals } from "./arrivals.js";
import type { ClaimCall, Claims } from "./claims.js";
import type { StoredGroup } from "./groups.js";
import type { createSettlements } from "./settlements.js";

/** What a source needs of its pubsub. */
export interface SourceContext {
  readonly arrivals: Arrivals;
  readonly settlements: ReturnType<typeof createSettlements>;
  find(call: GroupCall): Promise<StoredGroup | undefined>;
  /** The claims of a group, which its consumers in this process share. */
  joinClaims(group: StoredGroup): Claims;
  /** Others may have something to take that they had not. */
  tell(): void;
  /** Called when the source is closed; `group` is what it joined the claims of. */
  onClose(group: StoredGroup | undefined): void;
}

/** A group that was found, and its claims. */
interface Joined {
  readonly group: StoredGroup;
  readonly claims: Claims;
}

/** One consumer of a group. All that it knows beside what it holds is in the tables. */
export function createSource(call: GroupCall, context: SourceContext): DeliverySource {
  const { arrivals, settlements } = context;
  /** What it holds, and until when, about; oldest first. */
  const held = new Map<string, number>();
  /** What is being claimed. */
  const taking = new Set<Promise<unknown>>();
  let joined: Promise<Joined> | undefined;
  let own: StoredGroup | undefined;
  let isClosed: boolean = false;

  /** The id of a group that was deleted is given to no other, so what was found stays right. */
  function join(): Promise<Joined> {
    joined ??= find().catch((error: unknown) => {
      joined = undefined;
      throw error;
    });
    return joined;
  }

  async function find(): Promise<Joined> {
    const group = await context.find(call);
    if (group === undefined) throw new Error(`group ${call.group} of topic ${call.topic} was not opened`);
    own = group;
    return { group, claims: context.joinClaims(group) };
  }

  async function settle(asked: readonly Settlement[]): Promise<boolean[]> {
    for (const { handle } of asked) held.delete(handle);
    const { group } = await join();
    const outcomes = await settlements.settle(group, asked);
    // A consumer here or elsewhere may wait for what goes back, or for the next one of a key.
    if (asked.some(({ type }) => type === "release" || (group.isOrdered && type !== "retry"))) context.tell();
    else if (asked.some(({ type }) => type === "retry")) arrivals.look();
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

  /** Leases what is ready, for a consumer that is still there. */
  async function take(claims: Claims, call: ClaimCall): Promise<readonly Lease[]> {
    // Never taken back: what was claimed by then would have no holder.
    const leases = await claims.claim(call);
    if (leases.length > 0) arrivals.look();
    if (!isClosed) {
      hold(leases, call.leaseMs);
      return leases;
    }
    if (leases.length > 0) await release(leases.map(({ handle }) => handle));
    return [];
  }

  const release = (handles: readonly string[]) => settle(handles.map((handle) => ({ type: "release", handle })));

  return {
    async receive({ maxItems, maxBytes, leaseMs, signal }) {
      const { group, claims } = await join();
      while (!isClosed) {
        const taken = take(claims, { maxItems, maxBytes, leaseMs });
        taking.add(taken);
        const leases = await taken.finally(() => taking.delete(taken));
        if (leases.length > 0) return leases;
        if (signal.aborted) break;
        await arrivals.next(group, signal);
        if (signal.aborted) break;
      }
      return [];
    },

    settle,

    async extend(handles, leaseMs) {
      const { group } = await join();
      const outcomes = await settlements.extend(group, handles, leaseMs);
      const end = performance.now() + leaseMs;
      for (const [index, handle] of handles.entries()) {
        // Deleted first, so that what ends last stands last.
        if (outcomes[index] && held.delete(handle)) held.set(handle, end);
      }
      return outcomes;
    },

    async close() {
      isClosed = true;
      await Promise.allSettled(taking);
      context.onClose(own);
      if (held.size > 0) await release([...held.keys()]);
    },
  };
}
