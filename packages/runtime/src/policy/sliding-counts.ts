import type { Clock } from "@mecha/component";

const slots = 10;

/** How often two things happened within a window that moves with the time: exact to a tenth of it, at the cost of two numbers a tenth. */
export class SlidingCounts {
  readonly #clock: Clock;
  readonly #slotMs: number;
  readonly #counts: readonly [number[], number[]] = [new Array(slots).fill(0), new Array(slots).fill(0)];
  readonly #totals: [number, number] = [0, 0];
  /** The tenth that is counted in now. */
  #at: number;

  constructor(clock: Clock, windowMs: number) {
    this.#clock = clock;
    this.#slotMs = windowMs / slots;
    this.#at = Math.floor(clock.now() / this.#slotMs);
  }

  add(which: 0 | 1): void {
    this.#turn();
    const counts = this.#counts[which];
    const slot = this.#at % slots;
    counts[slot] = (counts[slot] ?? 0) + 1;
    this.#totals[which]++;
  }

  total(which: 0 | 1): number {
    this.#turn();
    return this.#totals[which];
  }

  /** Forgets what is older than the window. */
  #turn(): void {
    const at = Math.floor(this.#clock.now() / this.#slotMs);
    // A clock that was set back stays in its tenth, unless that would be for longer than the window: then it goes on from there.
    for (let past = 0; past < Math.min(at - this.#at, slots); past++) {
      const slot = (this.#at + 1 + past) % slots;
      for (const which of [0, 1] as const) {
        this.#totals[which] -= this.#counts[which][slot] ?? 0;
        this.#counts[which][slot] = 0;
      }
    }
    if (at > this.#at || this.#at - at > slots) this.#at = at;
  }
}
