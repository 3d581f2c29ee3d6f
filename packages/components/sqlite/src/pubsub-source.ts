import type { Clock, DeliverySource, GroupCall, Lease, Settlement } from "@mecha/component";
import type { Connection } from "./connection.js";
import type { Arrivals } from "./pubsub-arrivals.js";
import { type Claimed, parseHandle, toHandle } from "./pubsub-jobs.js";
import type { PubSubReads } from "./pubsub-reads.js";

/** What a source needs of its pubsub. */
export interface SourceContext {
  readonly connection: Connection;
  readonly reads: PubSubReads;
  readonly arrivals: Arrivals;
  readonly clock: Clock;
}

/** A part of what was asked for, at its places. */
interface Known<Item> {
  readonly items: readonly Item[];
  /** The answers for all that was asked: false for what is not known. */
  answers(outcomes: readonly boolean[]): boolean[];
}

/** One consumer of a group. Everything that it knows beside what it holds is in the file. */
export function createSource(call: GroupCall, context: SourceContext): DeliverySource {
  const { reads, arrivals, clock } = context;
  const { reader, writer } = context.connection;
  const held = new Set<string>();
  let known: number | undefined;
  let isClosed: boolean = false;

  /** The id of a group that was deleted is given to no other, so an id stays right. */
  async function groupId(): Promise<number> {
    known ??= (await reader.read(() => reads.group(call)))?.id;
    if (known === undefined) throw new Error(`group ${call.group} of topic ${call.topic} was not opened`);
    return known;
  }

  async function settle(settlements: readonly Settlement[]): Promise<boolean[]> {
    for (const { handle } of settlements) held.delete(handle);
    const { items, answers } = pick(settlements, (settlement) => {
      const lease = parseHandle(settlement.handle);
      if (lease === undefined) return undefined;
      const { handle, ...rest } = settlement;
      return { ...rest, ...lease };
    });
    if (items.length === 0) return answers([]);
    return answers(await writer.submit("pubsub.settle", { group: await groupId(), settlements: items }));
  }

  /** Hands back what was claimed but reached nobody. */
  async function release(handles: readonly string[]): Promise<void> {
    if (handles.length > 0) await settle(handles.map((handle) => ({ type: "release", handle })));
  }

  /** Reads what was claimed. It cannot be gone: a lease keeps its event. */
  async function read(claimed: readonly Claimed[]): Promise<Lease[]> {
    const handles = claimed.map(toHandle);
    try {
      const events = await reader.snapshot(() => claimed.map(({ seq }) => reads.event(seq)));
      const leases = claimed.flatMap(({ attempt }, index): Lease[] => {
        const [event, handle] = [events[index], handles[index]];
        return event === undefined || handle === undefined ? [] : [{ handle, attempt, ...event }];
      });
      if (!isClosed) {
        for (const { handle } of leases) held.add(handle);
        return leases;
      }
    } catch (error) {
      await release(handles);
      throw error;
    }
    await release(handles);
    return [];
  }

  return {
    async receive({ maxItems, maxBytes, leaseMs, signal }) {
      const group = await groupId();
      for (;;) {
        const readyTime = await reader.read(() => reads.readyTime(group));
        if (readyTime !== undefined && readyTime <= clock.now()) {
          try {
            // Never taken back: what was claimed by then would have no holder.
            const claimed = await writer.submit("pubsub.claim", { group, maxItems, maxBytes, leaseMs });
            if (claimed.length > 0) return await read(claimed);
          } finally {
            arrivals.look();
          }
        } else if (signal.aborted || isClosed) return [];
        else await arrivals.next(group, signal);
      }
    },

    settle,

    async extend(handles, leaseMs) {
      const { items, answers } = pick(handles, parseHandle);
      if (items.length === 0) return answers([]);
      return answers(await writer.submit("pubsub.extend", { group: await groupId(), leases: items, leaseMs }));
    },

    async close() {
      isClosed = true;
      await release([...held]);
    },
  };
}

/** Picks what can be asked of the writer out of what a caller asks. */
function pick<Asked, Item>(asked: readonly Asked[], toItem: (asked: Asked) => Item | undefined): Known<Item> {
  const found = asked.map(toItem);
  return {
    items: found.filter((item) => item !== undefined),
    answers(outcomes) {
      const rest = outcomes.values();
      return found.map((item) => item !== undefined && rest.next().value === true);
    },
  };
}
