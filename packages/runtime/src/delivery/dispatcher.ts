import type { Clock, DeliverySource, Lease, Settlement } from "@mecha/component";
import type { DeliveryOutcome, Recorded } from "../telemetry/deliveries.js";
import type { OpenSpan } from "../telemetry/tracing.js";
import { pause } from "./pause.js";
import {
  backoffMs,
  type DeliveryPolicy,
  type Disposition,
  isOutOfAttempts,
  leaseMarginMs,
  toSettlement,
} from "./policy.js";

/** One attempt at delivering one item to an app. */
export interface Delivery<Item> {
  /** The handle that the app settles it by. */
  readonly id: string;
  readonly item: Item;
  readonly attempt: number;
  readonly orderingKey: string;
  /** What continues the trace from this attempt, as W3C's `traceparent`; undefined where nothing is traced. */
  readonly traceparent?: string | undefined;
  /** Until when the app may settle it, ms since the epoch; `extend` gives it more. */
  readonly deadline: number;
}

/** How much may be unsettled at a time. */
export interface Credit {
  readonly maxItems: number;
  readonly maxBytes: number;
}

/** Options of {@link createDispatcher}. */
export interface DispatcherOptions<Item> {
  /** Where items come from; the dispatcher closes it. */
  readonly source: DeliverySource;
  readonly policy: DeliveryPolicy;
  readonly credit: Credit;
  readonly clock: Clock;
  /** Names a delivery for the app; unique, and as unguessable as the handle. */
  idOf(attempt: number, handle: string): string;
  /** Reads an item; undefined if this consumer does not want it, which settles it. */
  read(payload: Uint8Array): Item | undefined;
  /** Counts and traces the attempts. Default: nobody does. */
  readonly recorded?: Recorded<Item> | undefined;
  /** Hands deliveries to the app. No more are taken until it resolves. */
  deliver(deliveries: Delivery<Item>[]): Promise<void> | void;
  /** Told when the source fails; the dispatcher goes on after a while. */
  onSourceError(error: unknown): void;
}

/** Moves items from a source to one consumer within its credit, and what the consumer says of them back. */
export interface Dispatcher {
  /** Takes and delivers until `stop`; resolves then. Call it once. */
  run(): Promise<void>;
  /** Settles deliveries; per id whether it counted. */
  settle(ids: readonly string[], disposition: Disposition): Promise<boolean[]>;
  /** Gives deliveries `ackTimeoutMs` from now, or by default the policy's; per id whether it counted. */
  extend(ids: readonly string[], ackTimeoutMs: number | undefined): Promise<boolean[]>;
  /** Takes no more until `resume`; what is in flight may still be settled. */
  pause(): void;
  resume(): void;
  /** Takes no more; what is in flight may still be settled. */
  stop(): void;
  /** Resolves when nothing is in flight and all is settled, after `stop`. */
  readonly idle: Promise<void>;
  /** Stops, hands back what is in flight at no cost of an attempt, and closes the source. May be called again. */
  close(): Promise<void>;
}

/** A delivery that the app has not settled. */
interface InFlight {
  readonly handle: string;
  readonly bytes: number;
  readonly attempt: number;
  readonly span: OpenSpan | undefined;
  deadline: number;
}

/** How soon a source that failed is asked again, in ms: doubling between these. */
const sourceRetry = { minBackoffMs: 50, maxBackoffMs: 5_000 };

export function createDispatcher<Item>(options: DispatcherOptions<Item>): Dispatcher {
  const { source, policy, credit, clock, recorded } = options;
  const inFlight = new Map<string, InFlight>();
  const stopping = new AbortController();
  /** Ends the wait for more, when it is paused or stopped. */
  let receiving = new AbortController();
  let isPaused: boolean = false;
  const idle = Promise.withResolvers<void>();
  let bytes = 0;
  /** Settlements under way. */
  let settling = 0;
  let wake: (() => void) | undefined;
  let cancelSweep: (() => void) | undefined;

  /** Credit came back, or more may be taken. */
  const freed = () => {
    wake?.();
    wake = undefined;
    if (inFlight.size === 0 && settling === 0 && stopping.signal.aborted) idle.resolve();
  };

  const forget = (id: string, outcome: DeliveryOutcome) => {
    const delivery = inFlight.get(id);
    if (delivery === undefined) return;
    inFlight.delete(id);
    recorded?.record.end(delivery.span, outcome);
    bytes -= delivery.bytes;
  };

  /** Frees the credit of what the app did not settle in time; the source delivers it again. */
  const sweep = () => {
    cancelSweep = undefined;
    const now = clock.now();
    for (const [id, { deadline }] of inFlight) if (deadline <= now) forget(id, "expired");
    freed();
    armSweep();
  };

  const armSweep = () => {
    if (cancelSweep !== undefined || inFlight.size === 0) return;
    let earliest = Number.POSITIVE_INFINITY;
    for (const { deadline } of inFlight.values()) earliest = Math.min(earliest, deadline);
    cancelSweep = clock.after(Math.max(1, earliest - clock.now()), sweep);
  };

  /** Sorts what was taken into what is delivered and what is settled at once: unwanted, or out of attempts. */
  const accept = (leases: readonly Lease[]): Delivery<Item>[] => {
    const deliveries: Delivery<Item>[] = [];
    const settled: Settlement[] = [];
    const deadline = clock.now() + policy.ackTimeoutMs;
    for (const { handle, payload, attempt, orderingKey } of leases) {
      if (isOutOfAttempts(attempt, policy)) {
        settled.push({ type: "dead", handle, error: "" });
        continue;
      }
      const item = options.read(payload);
      if (item === undefined) {
        settled.push({ type: "ack", handle });
        continue;
      }
      const id = options.idOf(attempt, handle);
      const span = recorded?.record.begin(recorded.tell(item), attempt);
      inFlight.set(id, { handle, bytes: payload.byteLength, attempt, deadline, span });
      bytes += payload.byteLength;
      deliveries.push({ id, item, attempt, orderingKey, traceparent: span?.traceparent, deadline });
    }
    if (settled.length > 0) background(source.settle(settled));
    armSweep();
    return deliveries;
  };

  /** A settlement that nobody waits for: if it fails the lease ends by itself and the item comes again. */
  const background = (settling: unknown) => {
    void Promise.resolve(settling).catch(options.onSourceError);
  };

  const run = async () => {
    let failures = 0;
    while (!stopping.signal.aborted) {
      const isFull = inFlight.size >= credit.maxItems || (inFlight.size > 0 && bytes >= credit.maxBytes);
      if (isPaused || isFull) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        continue;
      }
      try {
        const leases = await source.receive({
          maxItems: credit.maxItems - inFlight.size,
          maxBytes: Math.max(1, credit.maxBytes - bytes),
          leaseMs: policy.ackTimeoutMs + leaseMarginMs,
          signal: receiving.signal,
        });
        failures = 0;
        const deliveries = accept(leases);
        if (deliveries.length > 0) await options.deliver(deliveries);
      } catch (error) {
        if (stopping.signal.aborted) break;
        failures += 1;
        options.onSourceError(error);
        await pause(clock, backoffMs(sourceRetry, failures), stopping.signal);
      }
    }
  };

  const stop = () => {
    stopping.abort();
    receiving.abort();
    freed();
  };

  const close = async () => {
    stop();
    await running;
    cancelSweep?.();
    const released = [...inFlight.values()].map(({ handle, span }) => {
      recorded?.record.end(span, "release");
      return { type: "release", handle } as const;
    });
    inFlight.clear();
    freed();
    try {
      if (released.length > 0) await source.settle(released);
      await source.close();
    } catch (error) {
      // The leases end by themselves.
      options.onSourceError(error);
    }
  };

  let running: Promise<void> | undefined;
  let closing: Promise<void> | undefined;
  return {
    run() {
      running = run();
      return running;
    },

    async settle(ids, disposition) {
      const settlements: Settlement[] = [];
      const counted = ids.map((id) => {
        const delivery = inFlight.get(id);
        if (delivery === undefined) return -1;
        const settlement = toSettlement(delivery, policy, disposition);
        forget(id, settlement.type);
        return settlements.push(settlement) - 1;
      });
      if (settlements.length === 0) return counted.map(() => false);
      settling += 1;
      try {
        const outcomes = source.settle(settlements);
        // The app holds these no more. What is taken now may share the settlement's way to the disk.
        freed();
        const done = await outcomes;
        return counted.map((index) => done[index] === true);
      } finally {
        settling -= 1;
        freed();
      }
    },

    async extend(ids, ackTimeoutMs = policy.ackTimeoutMs) {
      const known = ids.map((id) => inFlight.get(id));
      const held = known.filter((delivery) => delivery !== undefined);
      const handles = held.map(({ handle }) => handle);
      const outcomes = held.length > 0 ? await source.extend(handles, ackTimeoutMs + leaseMarginMs) : [];
      const extended = new Set(held.filter((_, index) => outcomes[index] === true));
      const deadline = clock.now() + ackTimeoutMs;
      for (const delivery of extended) delivery.deadline = deadline;
      return known.map((delivery) => delivery !== undefined && extended.has(delivery));
    },

    pause() {
      isPaused = true;
      receiving.abort();
    },

    resume() {
      isPaused = false;
      if (!stopping.signal.aborted) receiving = new AbortController();
      freed();
    },

    stop,
    idle: idle.promise,

    close: () => (closing ??= close()),
  };
}
