import { randomBytes } from "node:crypto";
import type { Clock } from "../clock.js";
import type { Settlement } from "../delivery/interface.js";
import type { InputEvent, InputLease, InputSource } from "./interface.js";

/** Options of {@link createInputQueue}. */
export interface InputQueueOptions {
  readonly clock: Clock;
  /** Told when an event is over: `dead` if the app gave it up, with its last error. */
  onSettled?(
    event: InputEvent,
    outcome: { readonly type: "ack" } | { readonly type: "dead"; readonly error: string },
  ): void;
  /**
   * Told when an event was not done. Return false to take it back: whoever brought it brings it again (a sender that hears 503). Default: it is
   * delivered again.
   */
  onRetry?(event: InputEvent, afterMs: number): boolean;
}

/** Events that wait in this process, under leases as {@link InputSource} promises them. For what keeps its events elsewhere until they are settled. */
export interface InputQueue {
  /** Puts an event at the end. */
  put(event: InputEvent): void;
  /** Takes an event back that nobody has; false if somebody does, or it is not there. */
  withdraw(event: InputEvent): boolean;
  /** Events that wait, are delivered or are put off. */
  readonly size: number;
  /** Whether somebody consumes. */
  readonly consumed: boolean;
  /** One consumer of the queue. */
  consume(): InputSource;
  /** Ends every wait; nothing comes any more. */
  close(): void;
}

interface Held {
  readonly event: InputEvent;
  readonly attempt: number;
  readonly consumer: object;
  cancelExpiry: () => void;
}

interface Waiting {
  readonly event: InputEvent;
  /** The attempt that its delivery will be. */
  readonly attempt: number;
}

export function createInputQueue({ clock, onSettled, onRetry }: InputQueueOptions): InputQueue {
  let waiting: Waiting[] = [];
  const held = new Map<string, Held>();
  const putOff = new Set<() => void>();
  const wakers = new Set<() => void>();
  let consumers = 0;
  let closed = false;

  const wake = () => {
    for (const waker of wakers) waker();
  };

  const enqueue = (entry: Waiting, where: "front" | "back") => {
    if (closed) return;
    if (where === "front") waiting.unshift(entry);
    else waiting.push(entry);
    wake();
  };

  /** Takes a lease off; undefined if it is over. */
  const takeBack = (handle: string): Held | undefined => {
    const lease = held.get(handle);
    if (lease === undefined) return undefined;
    held.delete(handle);
    lease.cancelExpiry();
    return lease;
  };

  const expireAfter = (handle: string, leaseMs: number) =>
    clock.after(leaseMs, () => {
      const lease = takeBack(handle);
      if (lease !== undefined) again(lease, 0);
    });

  /** Delivers once more, the attempt counted, unless whoever brought it does. */
  const again = ({ event, attempt }: Held, afterMs: number) => {
    if (onRetry !== undefined && !onRetry(event, afterMs)) return;
    const entry = { event, attempt: attempt + 1 };
    if (afterMs === 0) return enqueue(entry, "front");
    const cancel = clock.after(afterMs, () => {
      putOff.delete(cancel);
      enqueue(entry, "front");
    });
    putOff.add(cancel);
  };

  const settle = (settlement: Settlement): boolean => {
    const lease = takeBack(settlement.handle);
    if (lease === undefined) return false;
    const { event, attempt } = lease;
    if (settlement.type === "ack") onSettled?.(event, { type: "ack" });
    else if (settlement.type === "dead") onSettled?.(event, { type: "dead", error: settlement.error });
    else if (settlement.type === "retry") again(lease, settlement.afterMs);
    else enqueue({ event, attempt }, "front");
    return true;
  };

  const take = (consumer: object, maxItems: number, maxBytes: number, leaseMs: number): InputLease[] => {
    const leases: InputLease[] = [];
    let bytes = 0;
    for (const { event, attempt } of waiting) {
      if (leases.length >= maxItems || (leases.length > 0 && bytes + event.data.byteLength > maxBytes)) break;
      bytes += event.data.byteLength;
      const handle = randomBytes(16).toString("base64url");
      held.set(handle, { event, attempt, consumer, cancelExpiry: expireAfter(handle, leaseMs) });
      leases.push({ handle, event, attempt });
    }
    waiting = waiting.slice(leases.length);
    return leases;
  };

  return {
    put: (event) => enqueue({ event, attempt: 1 }, "back"),

    withdraw(event) {
      const index = waiting.findIndex((entry) => entry.event === event);
      if (index >= 0) waiting.splice(index, 1);
      return index >= 0;
    },

    get size() {
      return waiting.length + held.size + putOff.size;
    },

    get consumed() {
      return consumers > 0;
    },

    consume() {
      const consumer = {};
      consumers += 1;
      return {
        async receive({ maxItems, maxBytes, leaseMs, signal }) {
          for (;;) {
            if (waiting.length > 0) return take(consumer, maxItems, maxBytes, leaseMs);
            if (closed || signal.aborted) return [];
            await new Promise<void>((resolve) => {
              const done = () => {
                wakers.delete(done);
                signal.removeEventListener("abort", done);
                resolve();
              };
              wakers.add(done);
              signal.addEventListener("abort", done, { once: true });
            });
          }
        },
        settle: (settlements) => settlements.map(settle),
        extend: (handles, leaseMs) =>
          handles.map((handle) => {
            const lease = held.get(handle);
            if (lease === undefined) return false;
            lease.cancelExpiry();
            lease.cancelExpiry = expireAfter(handle, leaseMs);
            return true;
          }),
        async close() {
          consumers -= 1;
          for (const [handle, lease] of held) if (lease.consumer === consumer) settle({ type: "release", handle });
        },
      };
    },

    close() {
      closed = true;
      for (const cancel of putOff) cancel();
      for (const lease of held.values()) lease.cancelExpiry();
      putOff.clear();
      held.clear();
      waiting = [];
      wake();
    },
  };
}
