import type { Event } from "@mecha/api/pubsub";
import { tellOfEvent } from "../blocks/pubsub/convert.js";
import { partitionKey } from "../cloudevents/attributes.js";
import type { App, ServiceContext } from "../config/kind.js";
import { createDispatcher, type Delivery, type Dispatcher } from "../delivery/dispatcher.js";
import type { Disposition } from "../delivery/policy.js";
import { isTraceparent } from "../telemetry/trace-context.js";
import { type Batcher, createBatcher } from "./batcher.js";
import type { DeliveryCounts } from "./counts.js";
import type { SubscriptionPlan } from "./plan.js";
import { encodeEvents, toDisposition } from "./request.js";
import type { Router } from "./router.js";
import type { OpenSource } from "./sources.js";

/** What a flow takes. */
export interface FlowOptions {
  readonly plan: SubscriptionPlan;
  readonly source: OpenSource;
  readonly route: Router;
  readonly app: App;
  readonly context: ServiceContext;
  readonly counts: DeliveryCounts;
  onFailure(error: string): void;
}

/** Events on their way from an open source to the app. */
export interface Flow {
  /** Takes no more. */
  stop(): void;
  /** Resolves when nothing is in flight, after `stop`. */
  readonly idle: Promise<void>;
  /** Ends what is in flight and hands it back at no cost of an attempt. */
  close(): Promise<void>;
}

/** The dispatcher's deadline is so much later than the app's, in ms, that a delivery which took too long is settled as that. */
const graceMs = 1_000;

/** The least bytes of events that may be in flight, however small the batches. */
const minCreditBytes = 16 * 1024 * 1024;

/** Moves events while the app is healthy. What cannot reach it goes back untried; what may have reached it is an attempt. */
export function startFlow(options: FlowOptions): Flow {
  const { plan, source, app, context, counts } = options;
  const { clock, logger } = context;
  const { maxEvents, maxBytes, maxWaitMs } = plan.batch;
  const ended = new AbortController();
  const doubted = createDoubts();
  const onSourceError = (err: unknown) =>
    logger.warn({ subscription: plan.name, err }, "events cannot be taken or settled now; trying again");

  const dispatcher: Dispatcher = createDispatcher<Event>({
    source: source.items,
    policy: { ...source.settings, ackTimeoutMs: source.settings.ackTimeoutMs + graceMs },
    credit: {
      maxItems: plan.concurrency * maxEvents,
      maxBytes: Math.max(minCreditBytes, plan.concurrency * maxBytes),
    },
    clock,
    idOf: source.idOf,
    read: source.read,
    deliver,
    onSourceError,
    recorded: {
      record: context.deliveries.of(plan.source.type === "topic" ? "pubsub" : "binding", source.live.plan.name),
      tell: tellOfEvent,
    },
  });

  const batcher: Batcher<Delivery<Event>> = createBatcher({
    maxItems: maxEvents,
    maxBytes,
    maxWaitMs,
    concurrency: plan.concurrency,
    clock,
    sizeOf: ({ item }) => item.data.byteLength,
    // It failed once, perhaps for its neighbours' sake, or they for its: from now on it is judged by itself.
    isAlone: ({ attempt }) => attempt > 1,
    send,
  });

  function deliver(deliveries: readonly Delivery<Event>[]): Promise<void> | void {
    if (!app.health.healthy) return void settle(deliveries, { type: "release" });
    for (const delivery of deliveries) {
      const path = options.route(delivery.item);
      if (path !== undefined) batcher.add(path, delivery);
      else {
        counts.unmatched += 1;
        const unmatched: Disposition =
          plan.noMatch === "ack" ? { type: "ack" } : { type: "reject", error: "no rule of the subscription matches" };
        void settle([delivery], unmatched);
      }
    }
    return batcher.room();
  }

  async function send(path: string, waited: readonly Delivery<Event>[]): Promise<void> {
    const deliveries = await refresh(waited);
    const [first] = deliveries;
    if (first === undefined || ended.signal.aborted) return;
    let request: ReturnType<typeof encodeEvents>;
    try {
      request = encodeEvents(plan.format, deliveries.map(toOutgoing));
    } catch (error) {
      // Stored by something that checks less than the runtime does: it will never be sent.
      await settle(deliveries, { type: "reject", error: `cannot be written as CloudEvents: ${error}` });
      return;
    }
    counts.inFlight += deliveries.length;
    const answer = await app.client.post({
      path,
      headers: { ...request.headers, ...describe(first) },
      body: request.body,
      timeoutMs: source.settings.ackTimeoutMs,
      fresh: deliveries.some(doubted.has),
      signal: ended.signal,
    });
    counts.inFlight -= deliveries.length;
    if (ended.signal.aborted) return;
    for (const delivery of deliveries) doubted.set(delivery, answer.type === "stale");
    if (answer.type === "unreachable") app.health.suspect();
    await settle(deliveries, toDisposition(answer, path, clock.now()));
  }

  /** Gives what waited for its turn the app's full time again; leaves out what is not ours any more. */
  async function refresh(deliveries: readonly Delivery<Event>[]): Promise<readonly Delivery<Event>[]> {
    const fresh = clock.now() + source.settings.ackTimeoutMs;
    if (deliveries.every(({ deadline }) => deadline >= fresh)) return deliveries;
    try {
      const extended = await dispatcher.extend(
        deliveries.map(({ id }) => id),
        undefined,
      );
      return deliveries.filter((_, index) => extended[index] === true);
    } catch (error) {
      onSourceError(error);
      return [];
    }
  }

  async function settle(deliveries: readonly Delivery<Event>[], disposition: Disposition): Promise<void> {
    counts[outcomes[disposition.type]] += deliveries.length;
    if ("error" in disposition) tell(deliveries, disposition);
    try {
      await dispatcher.settle(
        deliveries.map(({ id }) => id),
        disposition,
      );
    } catch (error) {
      // The leases end by themselves.
      onSourceError(error);
    }
  }

  function tell(
    deliveries: readonly Delivery<Event>[],
    { type, error }: Extract<Disposition, { error: string }>,
  ): void {
    options.onFailure(error);
    for (const { item, attempt } of deliveries) {
      const fields = { subscription: plan.name, event: item.id, source: item.source, attempt, error };
      if (type === "reject" || attempt >= source.settings.maxAttempts)
        logger.warn(fields, "event given up: rejected, or out of attempts");
      else logger.debug(fields, "delivery failed");
    }
  }

  /** What is said beside CloudEvents: the trace goes on where the app's own instrumentation looks for it. */
  const describe = ({ item, attempt, traceparent = item.extensions.traceparent ?? "" }: Delivery<Event>) => {
    return {
      "mecha-subscription": plan.name,
      "mecha-attempt": String(attempt),
      ...(isTraceparent(traceparent) && { traceparent }),
    };
  };

  const follow = () => {
    if (app.health.healthy) return dispatcher.resume();
    dispatcher.pause();
    const waiting = batcher.clear();
    if (waiting.length > 0) void settle(waiting, { type: "release" });
  };
  const unfollow = app.health.onTurn(follow);
  follow();
  void dispatcher.run();

  return {
    stop: () => dispatcher.stop(),
    idle: dispatcher.idle,
    async close() {
      unfollow();
      ended.abort();
      batcher.clear();
      await dispatcher.close();
    },
  };
}

const outcomes = { ack: "acked", retry: "retried", reject: "rejected", release: "released" } as const;

/** The ordering key travels as CloudEvents have it, unless the event bears one of its own. */
function toOutgoing({ item, orderingKey }: Delivery<Event>) {
  return { event: item, orderingKey: partitionKey in item.extensions ? "" : orderingKey };
}

/** More events than that are not remembered. */
const maxDoubts = 10_000;

/**
 * Events that were sent over a kept connection which the app closed: it has hardly seen them, so they go back untried. An event that ends the
 * app each time must not come for ever, though: the next time it goes over a fresh connection, where it is known to have been tried.
 */
function createDoubts() {
  const events = new Set<string>();
  const keyOf = ({ item }: Delivery<Event>) => `${item.source} ${item.id}`;
  return {
    has: (delivery: Delivery<Event>) => events.size > 0 && events.has(keyOf(delivery)),
    set(delivery: Delivery<Event>, isDoubted: boolean) {
      if (isDoubted && events.size < maxDoubts) events.add(keyOf(delivery));
      else if (events.size > 0) events.delete(keyOf(delivery));
    },
  };
}
