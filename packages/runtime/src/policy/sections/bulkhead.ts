import { type Clock, z } from "@mecha/component";
import { duration } from "../../config/duration.js";
import { defineSection } from "../section.js";

/** How many calls may be under way. */
export const bulkhead = defineSection({
  schema: z
    .strictObject({
      maxConcurrent: z.int().min(1).max(100_000).describe("Calls under way at a time, from this runtime."),
      maxQueue: z
        .int()
        .min(0)
        .max(100_000)
        .default(0)
        .describe("Calls that may wait for their turn, first come, first served."),
      maxWait: duration("How long a call waits at the most. Default: 1s.", [1, 3_600_000]).default(1_000),
    })
    .describe(
      "How many calls may be under way, for each app or component that is called; what is too many is refused with 429 or RESOURCE_EXHAUSTED. Default: no limit.",
    ),
  targets: ["app", "component"],
  by: "caller",
});

type BulkheadValue = z.output<typeof bulkhead.schema>;

/** The calls under way to one app or component, and those that wait for their turn. */
export class Bulkhead {
  readonly #value: BulkheadValue;
  readonly #clock: Clock;
  #running = 0;
  readonly #waiting = new Set<(isIn: boolean) => void>();

  constructor(value: BulkheadValue, clock: Clock) {
    this.#value = value;
    this.#clock = clock;
  }

  /**
   * Whether a call may begin, at once or after it has waited; then `leave` is to be called when it is over.
   *
   * @param onGone calls back when who waits is gone
   */
  enter(onGone: (gone: () => void) => void = () => {}): boolean | Promise<boolean> {
    const { maxConcurrent, maxQueue, maxWait } = this.#value;
    if (this.#running < maxConcurrent) {
      this.#running++;
      return true;
    }
    if (this.#waiting.size >= maxQueue) return false;
    return new Promise((resolve) => {
      const settle = (isIn: boolean) => {
        if (!this.#waiting.delete(settle)) return;
        cancel();
        resolve(isIn);
      };
      const cancel = this.#clock.after(maxWait, () => settle(false));
      this.#waiting.add(settle);
      onGone(() => settle(false));
    });
  }

  /** A call is over: its place goes to whoever waits longest. */
  leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) this.#running--;
    else next(true);
  }
}
