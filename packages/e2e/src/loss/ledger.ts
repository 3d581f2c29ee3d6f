import { type EventName, eventId, type Told } from "./protocol.ts";

/** What is known of one event. */
interface Entry {
  isAttempted: boolean;
  isAcknowledged: boolean;
  /** How often each group was delivered it. */
  readonly deliveries: number[];
}

/** A group of consumers. */
export interface Group {
  readonly name: string;
  readonly ordered: boolean;
}

/** What a ledger says at the end. */
export interface Verdict {
  readonly acknowledged: number;
  /** Acknowledged events that a group was never delivered. */
  readonly lost: number;
  /** First deliveries, to ordered groups, of events that were published before one of their key that came before them. */
  readonly reordered: number;
  /** Deliveries after the first one. */
  readonly duplicated: number;
  /** Deliveries of what nobody published, or under another source and id. */
  readonly foreign: number;
}

/** Who published what, and who was delivered what. Programs' lines may be heard in another order than they were told, so it judges at the end. */
export class Ledger {
  readonly #groups: readonly Group[];
  readonly #source: string;
  readonly #entries = new Map<string, Entry>();
  /** Per group and key the highest number that came. */
  readonly #highest = new Map<string, number>();
  #lost = 0;
  #acknowledged = 0;
  #reordered = 0;
  #duplicated = 0;
  #misnamed = 0;

  /** @param source what all events come from */
  constructor(groups: readonly Group[], source: string) {
    this.#groups = groups;
    this.#source = source;
  }

  /** How many deliveries were heard of: whether something still moves. */
  heard = 0;

  readonly hear = (told: Told): void => {
    const [what, ...events] = told;
    if (what === "attempt") for (const event of events as EventName[]) this.#entry(event).isAttempted = true;
    else if (what === "ack") for (const event of events as EventName[]) this.#acknowledge(this.#entry(event));
    else if (what === "got") this.#deliver(told);
  };

  #acknowledge(entry: Entry): void {
    if (entry.isAcknowledged) return;
    entry.isAcknowledged = true;
    this.#acknowledged += 1;
    this.#lost += entry.deliveries.filter((times) => times === 0).length;
  }

  #deliver([, name, source, id, key, number]: Extract<Told, readonly ["got", ...unknown[]]>): void {
    this.heard += 1;
    const index = this.#groups.findIndex((group) => group.name === name);
    const event: EventName = [key, number];
    if (index < 0 || source !== this.#source || id !== eventId(event)) {
      this.#misnamed += 1;
      return;
    }
    const { deliveries, isAcknowledged } = this.#entry(event);
    const times = (deliveries[index] ?? 0) + 1;
    deliveries[index] = times;
    if (times > 1) {
      this.#duplicated += 1;
      return;
    }
    if (isAcknowledged) this.#lost -= 1;
    if (this.#groups[index]?.ordered !== true) return;
    const place = `${name} ${key}`;
    const highest = this.#highest.get(place) ?? -1;
    if (number < highest) this.#reordered += 1;
    else this.#highest.set(place, number);
  }

  #entry(event: EventName): Entry {
    const id = eventId(event);
    const known = this.#entries.get(id);
    if (known !== undefined) return known;
    const entry = { isAttempted: false, isAcknowledged: false, deliveries: this.#groups.map(() => 0) };
    this.#entries.set(id, entry);
    return entry;
  }

  /** The first event of a key, from `from` on, that is not acknowledged. */
  firstOpen([key, from]: EventName): EventName {
    let number = from;
    while (this.#entries.get(eventId([key, number]))?.isAcknowledged) number += 1;
    return [key, number];
  }

  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** Deliveries that are due: of what is acknowledged. */
  get missing(): number {
    return this.#lost;
  }

  judge(): Verdict {
    const invented = [...this.#entries.values()].filter(({ isAttempted }) => !isAttempted);
    return {
      acknowledged: this.#acknowledged,
      lost: this.#lost,
      reordered: this.#reordered,
      duplicated: this.#duplicated,
      foreign:
        this.#misnamed + invented.reduce((sum, { deliveries }) => sum + deliveries.reduce((a, b) => a + b, 0), 0),
    };
  }
}
