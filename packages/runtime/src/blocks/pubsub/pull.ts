import type { Delivery as DeliveryMessage, Event, PullRequest } from "@mecha/api/pubsub";
import type { Awaitable, Clock, DeliverySource, GroupCall, GroupSettings, Settlement } from "@mecha/component";
import type { LiveComponent } from "../../components/live.js";
import type { Binding } from "../../components/registry.js";
import { type Disposition, isOutOfAttempts, leaseMarginMs, toSettlement } from "../../delivery/policy.js";
import { Violations } from "../validation.js";
import { readEvent, toDelivery } from "./convert.js";
import { type DeliveryId, deliveryIdsOf, parseDeliveryId } from "./delivery-id.js";
import type { Groups, OpenGroup } from "./group.js";
import { toCount, toWait } from "./validate.js";

/** A group's source that unary calls share. It lives as long as its leases: closing it would hand back what callers work on. */
interface Shared {
  readonly source: DeliverySource;
  keepUntil: number;
}

/** Pull, Ack and Extend: the flow of a stream, call by call. */
export function createPuller(groups: Groups, clock: Clock, onSourceError: (error: unknown) => void) {
  const sources = new Map<LiveComponent, Map<string, Shared>>();

  const sourceOf = ({ live, serve }: Binding<"pubsub">, call: GroupCall): Shared => {
    let own = sources.get(live);
    if (own === undefined) {
      own = new Map();
      sources.set(live, own);
      live.retired.addEventListener("abort", () => void closeAll(live), { once: true });
    }
    const id = `${call.topic} ${call.group}`;
    let shared = own.get(id);
    if (shared === undefined) {
      shared = { source: serve.consume(call), keepUntil: 0 };
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

  /** Does something with the deliveries of each group that ids name; what is not this app's, or no id at all, counts for nothing. */
  const byGroup = async (
    binding: Binding<"pubsub">,
    ids: readonly string[],
    act: (of: {
      shared: Shared;
      settings: GroupSettings;
      deliveries: readonly DeliveryId[];
    }) => Awaitable<readonly boolean[]>,
  ): Promise<boolean[]> => {
    const counted = ids.map(() => false);
    const parsed = ids.map(parseDeliveryId);
    const named = Map.groupBy(parsed.keys(), (index) => {
      const delivery = parsed[index];
      return delivery !== undefined && groups.isOwn(delivery.group) ? `${delivery.topic} ${delivery.group}` : "";
    });
    named.delete("");
    for (const indexes of named.values()) {
      const deliveries = indexes.flatMap((index) => parsed[index] ?? []);
      const [first] = deliveries;
      if (first === undefined) continue;
      const call = { keyspace: groups.keyspace, topic: first.topic, group: first.group };
      const settings = await binding.serve.settingsOf(call);
      if (settings === undefined) continue;
      const outcomes = await act({ shared: sourceOf(binding, call), settings, deliveries });
      for (const [position, index] of indexes.entries()) counted[index] = outcomes[position] === true;
    }
    return counted;
  };

  return {
    async pull({ open: request, wait }: PullRequest, open: OpenGroup, signal: AbortSignal): Promise<DeliveryMessage[]> {
      const violations = new Violations();
      const maxItems = toCount(request?.maxInFlight ?? 0, [1, 1000], 64, "open.max_in_flight", violations);
      const waitMs = toWait(wait, violations);
      violations.throwIfAny();
      const { binding, call, settings } = open;
      const shared = sourceOf(binding, call);
      const leaseMs = settings.ackTimeoutMs + leaseMarginMs;
      const patience = new AbortController();
      const cancel = waitMs > 0 ? clock.after(waitMs, () => patience.abort()) : undefined;
      if (cancel === undefined) patience.abort();
      const ended = AbortSignal.any([signal, patience.signal, binding.live.retired]);
      const idOf = deliveryIdsOf(call.topic, call.group);
      try {
        for (;;) {
          shared.keepUntil = Math.max(shared.keepUntil, clock.now() + waitMs + leaseMs);
          const leases = await shared.source.receive({ maxItems, maxBytes: maxPullBytes, leaseMs, signal: ended });
          const deliveries: DeliveryMessage[] = [];
          const settled: Settlement[] = [];
          for (const { handle, payload, attempt, orderingKey } of leases) {
            const event: Event = readEvent(payload);
            if (isOutOfAttempts(attempt, settings)) settled.push({ type: "dead", handle, error: "" });
            else if (!open.wants(event)) settled.push({ type: "ack", handle });
            else
              deliveries.push(toDelivery({ id: idOf(attempt, handle), item: event, attempt, orderingKey }, call.topic));
          }
          if (settled.length > 0) await shared.source.settle(settled);
          if (deliveries.length > 0 || ended.aborted) return deliveries;
        }
      } finally {
        cancel?.();
      }
    },

    settle(binding: Binding<"pubsub">, ids: readonly string[], disposition: Disposition): Promise<boolean[]> {
      return byGroup(binding, ids, ({ shared, settings, deliveries }) =>
        shared.source.settle(deliveries.map((delivery) => toSettlement(delivery, settings, disposition))),
      );
    },

    /** `ackTimeoutMs` undefined: the group's. */
    extend(binding: Binding<"pubsub">, ids: readonly string[], ackTimeoutMs: number | undefined): Promise<boolean[]> {
      return byGroup(binding, ids, ({ shared, settings, deliveries }) => {
        const leaseMs = (ackTimeoutMs ?? settings.ackTimeoutMs) + leaseMarginMs;
        shared.keepUntil = Math.max(shared.keepUntil, clock.now() + leaseMs);
        const handles = deliveries.map(({ handle }) => handle);
        return shared.source.extend(handles, leaseMs);
      });
    },
  };
}

/** How long a source without leases is kept for the next call, in ms. */
const idleMs = 30_000;

/** Bytes of events that one Pull answers with. */
const maxPullBytes = 16 * 1024 * 1024;
