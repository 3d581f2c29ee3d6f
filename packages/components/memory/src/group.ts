import { randomUUID } from "node:crypto";
import type { Clock, DeadLetter, GroupSettings, Lease, Settlement } from "@mecha/component";
import { ExpiryQueue } from "./expiry-queue.js";

/** An event of a topic, shared by all its groups. Times are ms since the epoch. */
export interface StoredEvent {
  /** Its place in the order of publishing. */
  readonly sequence: number;
  readonly payload: Uint8Array;
  readonly orderingKey: string;
  readonly publishTime: number;
  readonly dueTime: number;
  readonly expireTime: number;
  /** Who still needs it: groups, and the topic that retains it. */
  holders: number;
}

/** What a group tells of the events that it holds. */
export interface Holding {
  hold(event: StoredEvent): void;
  release(event: StoredEvent): void;
}

/** An event on its way to one group. */
interface Entry {
  readonly event: StoredEvent;
  attempts: number;
  lastError: string;
}

/** An entry that comes back when its time is up: leased to a consumer (then it has a handle), or not due yet. */
interface Away {
  readonly entry: Entry;
  readonly handle: string | undefined;
  expireTime: number;
  queueIndex: number;
}

const deadLetterIdDigits = 16;

/** One group of consumers of a topic: what waits, what is leased, what was given up. */
export class Group {
  settings: GroupSettings;
  readonly #clock: Clock;
  readonly #holding: Holding;
  /** What may be taken, in order; a set, because it forgets its first in no time. */
  readonly #ready = new Set<Entry>();
  readonly #away = new ExpiryQueue<Away>();
  readonly #leases = new Map<string, Away>();
  /** With `ordered`: what waits behind the first unsettled event of each key. */
  readonly #behind = new Map<string, Entry[]>();
  readonly #dead = new Map<string, { deadLetter: DeadLetter; event: StoredEvent }>();
  readonly #waiters = new Set<() => void>();
  #deadSequence = 0;
  #backlog = 0;
  #timer: { time: number; cancel: () => void } | undefined;

  constructor(settings: GroupSettings, clock: Clock, holding: Holding) {
    this.settings = settings;
    this.#clock = clock;
    this.#holding = holding;
  }

  /** How many events are not settled for good. */
  get backlog(): number {
    return this.#backlog;
  }

  /** Adds an event that was published. */
  add(event: StoredEvent): void {
    this.#holding.hold(event);
    this.#backlog += 1;
    const entry: Entry = { event, attempts: 0, lastError: "" };
    const key = this.#orderedKey(entry);
    if (key !== undefined) {
      const behind = this.#behind.get(key);
      if (behind !== undefined) {
        behind.push(entry);
        return;
      }
      this.#behind.set(key, []);
    }
    this.#enqueue(entry, event.dueTime);
  }

  /** Leases what is ready, in the order it was published. */
  take(maxItems: number, maxBytes: number, leaseMs: number): Lease[] {
    const now = this.#clock.now();
    const taken: Lease[] = [];
    let bytes = 0;
    for (const entry of this.#ready) {
      bytes += entry.event.payload.byteLength;
      if (taken.length === maxItems || (bytes > maxBytes && taken.length > 0)) break;
      this.#ready.delete(entry);
      if (entry.event.expireTime <= now) {
        this.#finish(entry);
        this.#holding.release(entry.event);
      } else taken.push(this.#lease(entry, now + leaseMs));
    }
    return taken;
  }

  /** Resolves when something may be ready, or `signal` aborts. */
  wait(signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.#ready.size > 0) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        this.#waiters.delete(done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      this.#waiters.add(done);
      signal.addEventListener("abort", done);
    });
  }

  settle(settlement: Settlement): boolean {
    const lease = this.#leaseOf(settlement.handle);
    if (lease === undefined) return false;
    this.#leases.delete(settlement.handle);
    this.#away.remove(lease);
    const { entry } = lease;
    switch (settlement.type) {
      case "ack":
        this.#finish(entry);
        this.#holding.release(entry.event);
        break;
      case "retry":
        entry.lastError = settlement.error;
        this.#enqueue(entry, this.#clock.now() + settlement.afterMs);
        break;
      case "release":
        entry.attempts -= 1;
        this.#enqueue(entry, 0);
        break;
      case "dead":
        this.#bury(entry, settlement.error);
        break;
    }
    return true;
  }

  extend(handle: string, leaseMs: number): boolean {
    const lease = this.#leaseOf(handle);
    if (lease === undefined) return false;
    this.#away.remove(lease);
    lease.expireTime = this.#clock.now() + leaseMs;
    this.#await(lease);
    return true;
  }

  deadLetters(
    after: string | undefined,
    limit: number,
    maxBytes: number,
  ): { deadLetters: DeadLetter[]; more: boolean } {
    const deadLetters: DeadLetter[] = [];
    let bytes = 0;
    for (const { deadLetter } of this.#dead.values()) {
      if (after !== undefined && deadLetter.id <= after) continue;
      bytes += deadLetter.payload.byteLength;
      if (deadLetters.length === limit || (bytes > maxBytes && deadLetters.length > 0))
        return { deadLetters, more: true };
      deadLetters.push(deadLetter);
    }
    return { deadLetters, more: false };
  }

  /** Takes dead letters out, to deliver them again or to forget them; tells how many there were. */
  removeDeadLetters(ids: readonly string[] | undefined, requeue: boolean): number {
    let count = 0;
    for (const id of ids ?? [...this.#dead.keys()]) {
      const dead = this.#dead.get(id);
      if (dead === undefined) continue;
      this.#dead.delete(id);
      // Its delay is over, and its time to live does not count any more: somebody decided that it is wanted.
      if (requeue) this.add({ ...dead.event, dueTime: 0, expireTime: Number.POSITIVE_INFINITY, holders: 0 });
      this.#holding.release(dead.event);
      count += 1;
    }
    return count;
  }

  /** Lets go of every event: those who still consume find nothing, and settle nothing. */
  delete(): void {
    for (let away = this.#away.first; away !== undefined; away = this.#away.first) {
      this.#away.remove(away);
      this.#ready.add(away.entry);
    }
    const held = [...this.#ready, ...[...this.#behind.values()].flat(), ...this.#dead.values()];
    for (const { event } of held) this.#holding.release(event);
    for (const collection of [this.#ready, this.#leases, this.#behind, this.#dead]) collection.clear();
    this.close();
  }

  close(): void {
    this.#timer?.cancel();
    for (const wake of this.#waiters) wake();
  }

  #lease(entry: Entry, expireTime: number): Lease {
    const handle = randomUUID();
    entry.attempts += 1;
    const lease: Away = { entry, handle, expireTime, queueIndex: 0 };
    this.#leases.set(handle, lease);
    this.#await(lease);
    return { handle, payload: entry.event.payload, attempt: entry.attempts, orderingKey: entry.event.orderingKey };
  }

  /** A lease that has not ended. */
  #leaseOf(handle: string): Away | undefined {
    const lease = this.#leases.get(handle);
    return lease !== undefined && lease.expireTime > this.#clock.now() ? lease : undefined;
  }

  #orderedKey(entry: Entry): string | undefined {
    return this.settings.ordered && entry.event.orderingKey !== "" ? entry.event.orderingKey : undefined;
  }

  /** Makes an entry ready, now or later. Whoever may take it is told. */
  #enqueue(entry: Entry, dueTime: number): void {
    if (dueTime > this.#clock.now()) {
      this.#await({ entry, handle: undefined, expireTime: dueTime, queueIndex: 0 });
      return;
    }
    this.#ready.add(entry);
    for (const wake of this.#waiters) wake();
  }

  /** The entry is settled for good: the next one of its key may go. */
  #finish(entry: Entry): void {
    this.#backlog -= 1;
    const key = this.#orderedKey(entry);
    if (key === undefined) return;
    const next = this.#behind.get(key)?.shift();
    if (next === undefined) this.#behind.delete(key);
    else this.#enqueue(next, next.event.dueTime);
  }

  #bury(entry: Entry, error: string): void {
    this.#deadSequence += 1;
    const id = String(this.#deadSequence).padStart(deadLetterIdDigits, "0");
    const { event } = entry;
    const deadLetter: DeadLetter = {
      id,
      payload: event.payload,
      orderingKey: event.orderingKey,
      attempts: entry.attempts,
      lastError: error,
      time: this.#clock.now(),
    };
    this.#dead.set(id, { deadLetter, event });
    this.#finish(entry);
  }

  #await(away: Away): void {
    this.#away.add(away);
    if (this.#timer === undefined || away.expireTime < this.#timer.time) this.#arm();
  }

  #arm(): void {
    this.#timer?.cancel();
    const time = this.#away.first?.expireTime;
    if (time === undefined) this.#timer = undefined;
    else this.#timer = { time, cancel: this.#clock.after(Math.max(0, time - this.#clock.now()), () => this.#return()) };
  }

  /** Makes ready what was away and whose time is up. */
  #return(): void {
    const now = this.#clock.now();
    for (let away = this.#away.first; away !== undefined && away.expireTime <= now; away = this.#away.first) {
      this.#away.remove(away);
      if (away.handle !== undefined) this.#leases.delete(away.handle);
      this.#enqueue(away.entry, 0);
    }
    this.#arm();
  }
}
