import { randomUUID } from "node:crypto";
import type { Clock } from "@mecha/component";
import type { Connection } from "./connection.js";
import type { Group } from "./groups.js";

/** An event that this runtime holds for a consumer. */
export interface Held {
  readonly handle: string;
  readonly group: Group;
  /** Who took it. */
  readonly owner: object;
  /** Where JetStream is told what becomes of it. */
  readonly ackSubject: string;
  readonly sequence: number;
  readonly payload: Uint8Array;
  readonly orderingKey: string;
  readonly attempt: number;
  /** How many of its deliveries were no attempt. */
  readonly free: number;
  /** When its lease ends, by the component's clock. */
  deadline: number;
  /** Until when JetStream is known to leave it with this runtime, in ms of `performance.now()`. */
  securedUntil: number;
}

export const verdicts = { ack: "+ACK", nak: "-NAK", working: "+WPI" } as const;

/** How often it is looked for what JetStream is to be told, in ms. */
const tickMs = 250;
/** JetStream is told that an event is worked on when this part of its patience is over. */
const toldAfter = 1 / 4;

/**
 * The leases that this runtime gave. JetStream has one patience for all events of a consumer and takes an ack from anybody at any time; a lease
 * has its own time, and an ack after it counts for nothing. So leases are kept here: JetStream's patience is short, and renewed as long as a
 * lease lasts; when it is over the event is given back. When this runtime crashes or hangs JetStream's patience ends instead.
 */
export class Leases {
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #held = new Map<string, Held>();
  readonly #holder: string;
  #cancelEnd: (() => void) | undefined;
  #endTime = Number.POSITIVE_INFINITY;
  #telling: NodeJS.Timeout | undefined;

  /** @param holder names this runtime in handles, so that others can ask it */
  constructor(connection: Connection, clock: Clock, holder: string) {
    this.#connection = connection;
    this.#clock = clock;
    this.#holder = holder;
  }

  /** Begins a lease of an event that was just delivered. */
  hold(event: Omit<Held, "handle" | "deadline" | "securedUntil">, leaseMs: number): Held {
    const held: Held = {
      ...event,
      handle: `${this.#holder}.${randomUUID()}`,
      deadline: this.#clock.now() + leaseMs,
      securedUntil: performance.now() + event.group.ackWaitMs,
    };
    this.#held.set(held.handle, held);
    this.#armEnd(held.deadline);
    this.#telling ??= setInterval(() => void this.#tell(), tickMs).unref();
    return held;
  }

  /** What a handle of a group names, if its lease lasts; it ends with that. */
  take(handle: string, group: Group): Held | undefined {
    const held = this.#find(handle, group);
    if (held !== undefined) this.#held.delete(handle);
    return held;
  }

  /** Makes a lease end `leaseMs` from now; whether it lasts. */
  extend(handle: string, group: Group, leaseMs: number): boolean {
    const held = this.#find(handle, group);
    if (held === undefined) return false;
    held.deadline = this.#clock.now() + leaseMs;
    this.#armEnd(held.deadline);
    return true;
  }

  /** All that an owner holds. */
  *of(owner: object): Generator<Held> {
    for (const held of this.#held.values()) if (held.owner === owner) yield held;
  }

  close(): void {
    this.#cancelEnd?.();
    clearInterval(this.#telling);
  }

  #find(handle: string, { id }: Group): Held | undefined {
    const held = this.#held.get(handle);
    if (held === undefined || held.group.id !== id || held.group.deleted.aborted) return undefined;
    const lasts = held.deadline > this.#clock.now() && held.securedUntil > performance.now();
    return lasts ? held : undefined;
  }

  /** Tells JetStream that what is held is worked on; it counts when the server has read it. */
  async #tell(): Promise<void> {
    const { live } = this.#connection;
    if (this.#held.size === 0) {
      clearInterval(this.#telling);
      this.#telling = undefined;
      return;
    }
    if (live === undefined) return;
    const told: Held[] = [];
    const now = performance.now();
    for (const held of this.#held.values()) {
      if (held.securedUntil <= now)
        this.#held.delete(held.handle); // JetStream has delivered it again, or will.
      else if (held.securedUntil - now <= held.group.ackWaitMs * (1 - toldAfter)) {
        live.nc.publish(held.ackSubject, verdicts.working);
        told.push(held);
      }
    }
    if (told.length === 0) return;
    try {
      await this.#connection.flush();
      for (const held of told) held.securedUntil = now + held.group.ackWaitMs;
    } catch {
      // The next one tells again.
    }
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
        // If it does not arrive JetStream's patience ends instead.
        this.#connection.live?.nc.publish(held.ackSubject, verdicts.nak);
      }
    }
    this.#endTime = Number.POSITIVE_INFINITY;
    if (earliest < Number.POSITIVE_INFINITY) this.#armEnd(earliest);
  }
}
