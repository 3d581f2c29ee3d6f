import type { Awaitable, Clock, DeliverySource, Settlement } from "@mecha/component";
import type { LiveComponent } from "../components/live.js";
import type { DeliveredItem, DeliveryRecord } from "../telemetry/deliveries.js";
import type { Delivery } from "./dispatcher.js";
import { type DeliveryPolicy, type Disposition, isOutOfAttempts, leaseMarginMs, toSettlement } from "./policy.js";

/** A source that unary calls share. */
export interface PullSource {
  readonly live: LiveComponent;
  /** Tells it from the other sources of its component. */
  readonly id: string;
  consume(): DeliverySource;
  /** Counts what is settled. */
  readonly record: DeliveryRecord;
}

/** What to take, and how it is read. */
export interface PullCall<Item> {
  readonly source: PullSource;
  readonly policy: DeliveryPolicy;
  readonly maxItems: number;
  readonly waitMs: number;
  readonly signal: AbortSignal;
  idOf(attempt: number, handle: string): string;
  /** Reads an item; undefined if this consumer does not want it, which settles it. */
  read(payload: Uint8Array): Item | undefined;
  /** What an item tells of itself, to be counted. */
  tell(item: Item): DeliveredItem;
}

/** A delivery as its id tells it, with all that settling it needs. */
export interface PulledDelivery {
  readonly source: PullSource;
  readonly policy: DeliveryPolicy;
  readonly attempt: number;
  readonly handle: string;
}

/** Finds the delivery that an id names; undefined if it is none of this app's. */
export type FindDelivery = (id: string) => Awaitable<PulledDelivery | undefined>;

/** A source in use. It lives as long as its leases: closing it would hand back what callers work on. */
interface Shared {
  readonly source: DeliverySource;
  keepUntil: number;
}

/** How long a source without leases is kept for the next call, in ms. */
const idleMs = 30_000;

/** Bytes of items that one Pull answers with. */
const maxPullBytes = 16 * 1024 * 1024;

/** Pull, Ack and Extend: the flow of a stream, call by call. */
export function createPuller(clock: Clock, onSourceError: (error: unknown) => void) {
  const sources = new Map<LiveComponent, Map<string, Shared>>();

  const share = ({ live, id, consume }: PullSource): Shared => {
    let own = sources.get(live);
    if (own === undefined) {
      own = new Map();
      sources.set(live, own);
      live.retired.addEventListener("abort", () => void closeAll(live), { once: true });
    }
    let shared = own.get(id);
    if (shared === undefined) {
      shared = { source: consume(), keepUntil: 0 };
      own.set(id, shared);
      closeWhenUnused(own, id, shared);
    }
    return shared;
  };

  /** Closes a source once its last lease is over. */
  const closeWhenUnused = (own: Map<string, Shared>, id: string, shared: Shared) => {
    clock.after(Math.max(idleMs, shared.keepUntil - clock.now()), () => {
      if (own.get(id) !== shared) return;
      if (shared.keepUntil > clock.now()) return closeWhenUnused(own, id, shared);
      own.delete(id);
      shared.source.close().catch(onSourceError);
    });
  };

  const closeAll = async (live: LiveComponent) => {
    const own = sources.get(live);
    sources.delete(live);
    for (const { source } of own?.values() ?? []) await source.close().catch(onSourceError);
  };

  /** Does something with the deliveries of each source that ids name; an id that names none counts for nothing. */
  const bySource = async (
    ids: readonly string[],
    find: FindDelivery,
    act: (shared: Shared, deliveries: readonly PulledDelivery[]) => Awaitable<readonly boolean[]>,
  ): Promise<boolean[]> => {
    const counted = ids.map(() => false);
    const found = await Promise.all(ids.map(find));
    const known = found.flatMap((delivery, index) => (delivery === undefined ? [] : [{ delivery, index }]));
    for (const group of Map.groupBy(known, ({ delivery }) => delivery.source.id).values()) {
      const [first] = group;
      if (first === undefined) continue;
      const deliveries = group.map(({ delivery }) => delivery);
      const outcomes = await act(share(first.delivery.source), deliveries);
      for (const [position, { index }] of group.entries()) counted[index] = outcomes[position] === true;
    }
    return counted;
  };

  return {
    /** Takes what there is, or waits for it. */
    async pull<Item>(call: PullCall<Item>): Promise<Delivery<Item>[]> {
      const { policy, maxItems, waitMs, idOf, read } = call;
      const shared = share(call.source);
      const leaseMs = policy.ackTimeoutMs + leaseMarginMs;
      const patience = new AbortController();
      const cancel = waitMs > 0 ? clock.after(waitMs, () => patience.abort()) : undefined;
      if (cancel === undefined) patience.abort();
      const ended = AbortSignal.any([call.signal, patience.signal, call.source.live.retired]);
      try {
        for (;;) {
          shared.keepUntil = Math.max(shared.keepUntil, clock.now() + waitMs + leaseMs);
          const leases = await shared.source.receive({ maxItems, maxBytes: maxPullBytes, leaseMs, signal: ended });
          const deliveries: Delivery<Item>[] = [];
          const settled: Settlement[] = [];
          const deadline = clock.now() + policy.ackTimeoutMs;
          for (const { handle, payload, attempt, orderingKey } of leases) {
            if (isOutOfAttempts(attempt, policy)) {
              settled.push({ type: "dead", handle, error: "" });
              continue;
            }
            const item = read(payload);
            if (item === undefined) settled.push({ type: "ack", handle });
            else {
              call.source.record.pulled(call.tell(item), attempt);
              deliveries.push({ id: idOf(attempt, handle), item, attempt, orderingKey, deadline });
            }
          }
          if (settled.length > 0) await shared.source.settle(settled);
          if (deliveries.length > 0 || ended.aborted) return deliveries;
        }
      } finally {
        cancel?.();
      }
    },

    settle(ids: readonly string[], find: FindDelivery, disposition: Disposition): Promise<boolean[]> {
      return bySource(ids, find, async ({ source }, deliveries) => {
        const settlements = deliveries.map((delivery) => toSettlement(delivery, delivery.policy, disposition));
        const counted = await source.settle(settlements);
        for (const [index, { type }] of settlements.entries()) {
          if (counted[index] === true) deliveries[index]?.source.record.settled(type);
        }
        return counted;
      });
    },

    /** `ackTimeoutMs` undefined: the policy's. */
    extend(ids: readonly string[], find: FindDelivery, ackTimeoutMs: number | undefined): Promise<boolean[]> {
      return bySource(ids, find, (shared, deliveries) => {
        const longest = Math.max(...deliveries.map(({ policy }) => ackTimeoutMs ?? policy.ackTimeoutMs));
        const leaseMs = longest + leaseMarginMs;
        shared.keepUntil = Math.max(shared.keepUntil, clock.now() + leaseMs);
        const handles = deliveries.map(({ handle }) => handle);
        return shared.source.extend(handles, leaseMs);
      });
    },
  };
}

/** What {@link createPuller} gives. */
export type Puller = ReturnType<typeof createPuller>;
