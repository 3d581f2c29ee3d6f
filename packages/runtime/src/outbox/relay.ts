import { type Clock, ComponentError, type PublishOutcome, type PubSubEntry, type Reason } from "@mecha/component";
import { requireOptions, sizeFault } from "../blocks/pubsub/entry.js";
import type { Binding } from "../components/registry.js";
import { createDispatcher, type Delivery } from "../delivery/dispatcher.js";
import { pause } from "../delivery/pause.js";
import { backoffMs } from "../delivery/policy.js";
import type { RuntimeLogger } from "../telemetry/logger.js";
import { type OutboxRecord, readRecord, toPubSubEntry } from "./record.js";
import { type Route, routeSettings } from "./route.js";

/** What a relay needs of the runtime. */
export interface RelayContext {
  readonly namespace: string;
  readonly clock: Clock;
  readonly logger: RuntimeLogger;
  /** The component that the events are for, as it is now. Throws while it is away. */
  target(): Binding<"pubsub">;
}

/** How much is handed over at a time. */
const credit = { maxItems: 256, maxBytes: 16 * 1024 * 1024 };

/** How long publishing may take, in ms: less than the lease, so that whoever takes over is the only one who publishes. */
const publishTimeoutMs = routeSettings.ackTimeoutMs - 1_000;

/** What another try would not change: the event is not what its target takes. Whatever else went wrong may go right later. */
const final: ReadonlySet<Reason> = new Set(["BAD_REQUEST", "TOO_LARGE", "FEATURE_NOT_SERVED"]);

/** One event on its way: as it was kept, or why it cannot be read. */
type Kept = OutboxRecord | Error;

/** What became of events, since the relay began. */
export interface RelayCounts {
  published: number;
  /** Their time to live ended before they could be handed over. */
  expired: number;
  refused: number;
}

/** A relay at work. */
export interface Relay {
  readonly counts: Readonly<RelayCounts>;
  /** Hands back what it holds. */
  close(): Promise<void>;
}

/** What became of the events of one turn. */
interface Turn {
  readonly published: string[];
  readonly expired: string[];
  readonly refused: { readonly id: string; readonly item: Kept; readonly error: Error }[];
  readonly failed: { readonly id: string; readonly error: Error }[];
}

/**
 * Hands over what a store keeps for another pubsub, until it is closed: at least once, one after the other for each ordering key. While the target is
 * away it tries again with backoff, for ever, and takes nothing new in between.
 */
export function startRelay(route: Route, context: RelayContext): Relay {
  const { clock, logger } = context;
  const fields = { store: route.store.live.plan.name, pubsub: route.target };
  const stopping = new AbortController();
  const counts: RelayCounts = { published: 0, expired: 0, refused: 0 };
  let failures = 0;

  const deliver = async (deliveries: readonly Delivery<Kept>[]): Promise<void> => {
    const { published, expired, refused, failed } = await handOver(deliveries, context);
    counts.published += published.length;
    counts.expired += expired.length;
    counts.refused += refused.length;
    const done = [...published, ...expired];
    const [first] = failed;
    // A component that takes some is there: what it does not take now waits by itself.
    failures = first === undefined || published.length > 0 ? 0 : failures + 1;
    try {
      if (done.length > 0) await dispatcher.settle(done, { type: "ack" });
      for (const { id, item, error } of refused) {
        const event = item instanceof Error ? {} : { topic: item.entry.topic, event: item.event.id };
        const message = `an event was refused by "${route.target}" and is a dead letter of the outbox: ${error.message}`;
        logger.warn({ ...fields, ...event }, message);
        await dispatcher.settle([id], { type: "reject", error: error.message.slice(0, 1024) });
      }
      if (first !== undefined) {
        const ids = failed.map(({ id }) => id);
        await dispatcher.settle(ids, { type: "retry", afterMs: undefined, error: first.error.message.slice(0, 1024) });
      }
    } catch (err) {
      // What was not settled comes again when its lease ends.
      logger.warn({ ...fields, err }, "the outbox cannot note what it handed over; it will do so again");
    }
    if (first === undefined || failures === 0) return;
    if (failures === 1) {
      logger.warn({ ...fields, err: first.error }, `events cannot be handed to "${route.target}" now; trying again`);
    }
    await pause(clock, backoffMs(routeSettings, failures), stopping.signal);
  };

  const dispatcher = createDispatcher<Kept>({
    source: route.pubsub.consume(route.call),
    policy: routeSettings,
    credit,
    clock,
    idOf: (_, handle) => handle,
    read: (payload) => {
      try {
        return readRecord(payload);
      } catch (error) {
        return new Error("it cannot be read; did a newer version of the runtime write it?", { cause: error });
      }
    },
    deliver,
    onSourceError: (err) => logger.warn({ ...fields, err }, "the outbox cannot be read now; trying again"),
  });
  // The store is closed only when what this holds is handed back.
  const leave = route.store.live.enter();
  void dispatcher.run();
  let closing: Promise<void> | undefined;
  return {
    counts,
    close() {
      stopping.abort();
      closing ??= dispatcher.close().finally(leave);
      return closing;
    },
  };
}

/** Publishes what can be published; never throws. */
async function handOver(deliveries: readonly Delivery<Kept>[], context: RelayContext): Promise<Turn> {
  const { namespace, clock, target } = context;
  const turn: Turn = { published: [], expired: [], refused: [], failed: [] };
  const sound: { id: string; item: Kept; entry: PubSubEntry }[] = [];
  try {
    const binding = target();
    for (const { id, item } of deliveries) {
      const entry = item instanceof Error ? item : toPubSubEntry(item, clock.now());
      const fault = entry instanceof Error ? entry : entry && faultOf(entry, binding);
      if (fault !== undefined) turn.refused.push({ id, item, error: fault });
      else if (entry === undefined) turn.expired.push(id);
      else if (!(entry instanceof Error)) sound.push({ id, item, entry });
    }
    if (sound.length === 0) return turn;
    const entries = sound.map(({ entry }) => entry);
    const signal = AbortSignal.timeout(publishTimeoutMs);
    const published = Promise.resolve(binding.serve.publish({ keyspace: namespace, entries, signal }));
    const outcomes = await binding.live.track(published);
    for (const [index, { id, item }] of sound.entries()) sort(turn, id, item, outcomes[index]);
  } catch (error) {
    const failure = error instanceof Error ? error : new Error(String(error));
    if (isFinal(failure) && sound.length > 1) return oneByOne(deliveries, context);
    const known = new Set([...turn.expired, ...turn.refused.map(({ id }) => id)]);
    for (const { id, item } of deliveries) {
      if (known.has(id)) continue;
      if (isFinal(failure)) turn.refused.push({ id, item, error: failure });
      else turn.failed.push({ id, error: failure });
    }
  }
  return turn;
}

/** For a component that refuses a whole call for one of its events. */
async function oneByOne(deliveries: readonly Delivery<Kept>[], context: RelayContext): Promise<Turn> {
  const turns: Turn[] = [];
  for (const delivery of deliveries) turns.push(await handOver([delivery], context));
  return {
    published: turns.flatMap(({ published }) => published),
    expired: turns.flatMap(({ expired }) => expired),
    refused: turns.flatMap(({ refused }) => refused),
    failed: turns.flatMap(({ failed }) => failed),
  };
}

const isFinal = (error: Error): boolean => error instanceof ComponentError && final.has(error.reason);

function sort(turn: Turn, id: string, item: Kept, outcome: PublishOutcome | undefined): void {
  if (outcome?.type === "published") turn.published.push(id);
  else {
    const error = outcome?.error ?? new Error("the component answered a publish with nothing");
    if (isFinal(error)) turn.refused.push({ id, item, error });
    else turn.failed.push({ id, error });
  }
}

/** Why its target would never take an event: it may be another component than when the event was committed. */
function faultOf(entry: PubSubEntry, binding: Binding<"pubsub">): Error | undefined {
  try {
    requireOptions(entry, binding);
  } catch (error) {
    return error as ComponentError;
  }
  return sizeFault(entry, binding);
}
