import { type Clock, z } from "@mecha/component";
import { duration } from "../../config/duration.js";
import { conditions, failures, meets, type Outcome } from "../conditions.js";
import { defineSection } from "../section.js";
import { SlidingCounts } from "../sliding-counts.js";
import { leftOf, noWait, startWait } from "../wait.js";

/** When an app or component that fails is left alone for a while. */
export const circuitBreaker = defineSection({
  schema: z
    .strictObject({
      consecutive: z
        .int()
        .min(1)
        .max(1_000)
        .optional()
        .describe("It opens after this many failures in a row. Either this or `errorRate`."),
      errorRate: z
        .number()
        .gt(0)
        .max(1)
        .optional()
        .describe(
          "It opens when this part of the calls of `window` failed: 0.5 is half. Either this or `consecutive`.",
        ),
      window: duration("With `errorRate`: over how long it is taken. Default: 10s.", [1_000, 600_000]).optional(),
      minCalls: z
        .int()
        .min(1)
        .max(100_000)
        .optional()
        .describe("With `errorRate`: how many calls `window` must have had before it counts. Default: 20."),
      openFor: duration("How long it stays open before calls try again. Default: 10s.", [10, 3_600_000]).default(
        10_000,
      ),
      halfOpenCalls: z
        .int()
        .min(1)
        .max(100)
        .default(1)
        .describe(
          "How many calls then try: if all go well it closes, after one failure it opens anew. Those that know nothing after `openFor` make way for others.",
        ),
      on: conditions("What is a failure.").default([...failures]),
    })
    .describe(
      "A circuit breaker, for each app or component that is called: while it is open calls fail at once, with 503 and `retry-after`. Default: none.",
    ),
  targets: ["app", "component"],
  by: "caller",
  check({ consecutive, errorRate, window, minCalls }, { add }) {
    if ((consecutive === undefined) === (errorRate === undefined)) {
      add('it needs one of "consecutive" and "errorRate": say when it opens');
    }
    if (errorRate !== undefined) return;
    for (const [field, value] of Object.entries({ window, minCalls })) {
      if (value !== undefined) add(`"${field}" is for "errorRate"`, field);
    }
  },
});

type CircuitBreakerValue = z.output<typeof circuitBreaker.schema>;

const defaultWindowMs = 10_000;
const defaultMinCalls = 20;

/** A breaker: of one app or component. */
export class CircuitBreaker {
  readonly isFailure: (outcome: Outcome) => boolean;
  readonly #value: CircuitBreakerValue;
  readonly #clock: Clock;
  readonly #onOpen: () => void;
  /** Calls and failures, where a rate opens it. */
  #window: SlidingCounts | undefined;
  #state: "closed" | "open" | "half-open" = "closed";
  #failuresInARow = 0;
  /** How long it stays open, and then how long the last call that tries may know nothing before others may. */
  #pause = noWait;
  /** While it is half open: calls that try, and how many of them went well. */
  #trying = 0;
  #succeeded = 0;
  /** Counts the changes of state: how a call ends says nothing about a state that it did not begin in. */
  #era = 0;

  constructor(value: CircuitBreakerValue, clock: Clock, onOpen: () => void = () => {}) {
    this.#value = value;
    this.#clock = clock;
    this.#onOpen = onOpen;
    this.isFailure = meets(value.on);
  }

  get state(): "closed" | "open" | "half-open" {
    // Nobody turns it: it is half open once the time has come.
    return this.#state === "open" && this.#leftMs === 0 ? "half-open" : this.#state;
  }

  /** In how many ms a call may try, if it may not now; 1 while others try: they may know any moment. */
  get waitMs(): number {
    return this.#state === "half-open" ? 1 : Math.max(1, this.#leftMs);
  }

  get #leftMs(): number {
    return leftOf(this.#pause, this.#clock.now());
  }

  /** Lets a call in: what `leave` is to be given once it is known how it went, or undefined if it may not. */
  enter(): number | undefined {
    if (this.#state === "closed") return this.#era;
    const isFull = this.#state === "half-open" && this.#trying + this.#succeeded >= this.#value.halfOpenCalls;
    if (this.#state === "open" || isFull) {
      if (this.#leftMs > 0) return undefined;
      // Calls that tried for so long and know nothing yet may never know: they hold up no others.
      this.#turn("half-open");
    }
    this.#pause = startWait(this.#value.openFor, this.#clock.now());
    this.#trying++;
    return this.#era;
  }

  /**
   * To be called once for each call that was let in. An answer that has begun is enough to know: its end may be hours away, and while a call tries
   * others may not.
   *
   * @param failed undefined if the call ended without saying anything about who was called: its caller went away
   */
  leave(era: number, failed: boolean | undefined): void {
    if (era !== this.#era) return;
    if (this.#state === "half-open") {
      this.#trying--;
      if (failed === undefined) return;
      if (failed) this.#open();
      else if (++this.#succeeded >= this.#value.halfOpenCalls) this.#turn("closed");
    } else if (failed !== undefined && this.#counts(failed)) this.#open();
  }

  /** Counts a call; true if it is the one too many. */
  #counts(failed: boolean): boolean {
    const { consecutive, errorRate = 1, minCalls = defaultMinCalls, window: windowMs = defaultWindowMs } = this.#value;
    if (consecutive !== undefined) {
      this.#failuresInARow = failed ? this.#failuresInARow + 1 : 0;
      return this.#failuresInARow >= consecutive;
    }
    this.#window ??= new SlidingCounts(this.#clock, windowMs);
    const window = this.#window;
    window.add(0);
    if (!failed) return false;
    window.add(1);
    return window.total(0) >= minCalls && window.total(1) >= errorRate * window.total(0);
  }

  #open(): void {
    this.#pause = startWait(this.#value.openFor, this.#clock.now());
    this.#turn("open");
    this.#onOpen();
  }

  #turn(state: "closed" | "open" | "half-open"): void {
    this.#state = state;
    this.#era++;
    this.#trying = 0;
    this.#succeeded = 0;
    this.#failuresInARow = 0;
    this.#window = undefined;
  }
}
