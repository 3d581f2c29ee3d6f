import { randomUUID } from "node:crypto";
import type { Clock } from "@mecha/component";
import type { Message } from "amqplib";

/** What a lease's holder does with its message. */
export interface Holder {
  /** Its group's queue of events. */
  readonly queue: string;
  /** Gives it back to the broker, which counts it. */
  requeue(message: Message): void;
}

/** An event that this runtime holds for a consumer. */
export interface Held {
  readonly handle: string;
  readonly holder: Holder;
  readonly message: Message;
  readonly orderingKey: string;
  readonly attempt: number;
  /** When its lease ends, by the component's clock. */
  deadline: number;
}

/**
 * The leases that this runtime gave: RabbitMQ knows none. An event is the channel's until it is acked or the channel is lost, so a lease that ends
 * unsettled is given back here.
 */
export class Leases {
  readonly #clock: Clock;
  readonly #held = new Map<string, Held>();
  #cancelEnd: (() => void) | undefined;
  #endTime = Number.POSITIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Begins a lease of an event that was just delivered. */
  hold(event: Omit<Held, "handle" | "deadline">, leaseMs: number): Held {
    const held = { ...event, handle: randomUUID(), deadline: this.#clock.now() + leaseMs };
    this.#held.set(held.handle, held);
    this.#armEnd(held.deadline);
    return held;
  }

  /** What a handle of a group (by its queue) names, if its lease lasts; it ends with that. */
  take(handle: string, queue: string): Held | undefined {
    const held = this.#find(handle, queue);
    if (held !== undefined) this.#held.delete(handle);
    return held;
  }

  /** Makes a lease end `leaseMs` from now; whether it lasts. */
  extend(handle: string, queue: string, leaseMs: number): boolean {
    const held = this.#find(handle, queue);
    if (held === undefined) return false;
    held.deadline = this.#clock.now() + leaseMs;
    this.#armEnd(held.deadline);
    return true;
  }

  /** All that a holder holds. */
  of(holder: Holder): Held[] {
    return [...this.#held.values()].filter((held) => held.holder === holder);
  }

  /** How many events of a group are held. */
  count(queue: string): number {
    let count = 0;
    for (const { holder } of this.#held.values()) if (holder.queue === queue) count += 1;
    return count;
  }

  /** The holder's channel is lost, and the broker has all back. */
  forget(holder: Holder): void {
    for (const { handle } of this.of(holder)) this.#held.delete(handle);
  }

  close(): void {
    this.#cancelEnd?.();
  }

  #find(handle: string, queue: string): Held | undefined {
    const held = this.#held.get(handle);
    return held?.holder.queue === queue && held.deadline > this.#clock.now() ? held : undefined;
  }

  #armEnd(time: number): void {
    if (time >= this.#endTime) return;
    this.#cancelEnd?.();
    this.#endTime = time;
    this.#cancelEnd = this.#clock.after(Math.max(0, time - this.#clock.now()), () => this.#end());
  }

  /** Gives back what was not settled in time. */
  #end(): void {
    const now = this.#clock.now();
    let earliest = Number.POSITIVE_INFINITY;
    for (const held of this.#held.values()) {
      if (held.deadline > now) earliest = Math.min(earliest, held.deadline);
      else {
        this.#held.delete(held.handle);
        held.holder.requeue(held.message);
      }
    }
    this.#endTime = Number.POSITIVE_INFINITY;
    if (earliest < Number.POSITIVE_INFINITY) this.#armEnd(earliest);
  }
}
