import { type Clock, z } from "@mecha/component";
import { duration } from "../../config/duration.js";
import { methodName } from "../../routes/method-name.js";
import { conditions } from "../conditions.js";
import { defineSection } from "../section.js";
import { SlidingCounts } from "../sliding-counts.js";

/** The methods that may be sent twice without harm (RFC 9110, section 9.2.2). */
export const repeatable: readonly string[] = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"];

/** When a call is tried again. */
export const retry = defineSection({
  schema: z
    .strictObject({
      maxAttempts: z
        .int()
        .min(1)
        .max(10)
        .default(3)
        .describe(
          "Attempts at the most, the first one included; 1 never tries again. Instances that could not be reached, or refused the call unseen, are passed over and do not count.",
        ),
      on: conditions("What is tried again.").default(["connect-failure", "reset", "timeout", "unavailable"]),
      methods: z
        .array(methodName)
        .min(1)
        .optional()
        .describe(
          "The methods that may be repeated. Default: GET, HEAD, OPTIONS, PUT and DELETE, and any with the header `idempotency-key`. gRPC is POST. For apps only: of calls to components, reads and writes with a `request_id` may.",
        ),
      backoff: z
        .strictObject({
          min: duration("The longest wait before the second attempt. Default: 25ms.", [0, 60_000]).default(25),
          max: duration("The longest wait at all. Default: 250ms.", [0, 600_000]).default(250),
        })
        .default({ min: 25, max: 250 })
        .describe(
          "How long is waited before another attempt: at random between nothing and a limit that doubles with each attempt (full jitter). `retry-after` of an answer is waited for where there is no other instance to try.",
        ),
      budget: z
        .strictObject({
          percent: z
            .number()
            .min(0)
            .max(100)
            .default(20)
            .describe("How many retries there may be for 100 calls of the last 10 s."),
          minPerSecond: z
            .number()
            .min(0)
            .max(1_000)
            .default(3)
            .describe("How many retries a second there may be at any rate, for apps that are seldom called."),
        })
        .default({ percent: 20, minPerSecond: 3 })
        .describe(
          "What keeps retries from multiplying load: when the budget is used up, the first answer is the answer. For each app or component that is called.",
        ),
    })
    .describe("When a call is tried again, and how often. Default: as written with no field given."),
  targets: ["app", "component"],
  by: "caller",
  byDefault: {},
  check({ backoff, methods }, { target, add }) {
    if (backoff.max < backoff.min) add('"backoff.max" is less than "backoff.min"', "backoff", "max");
    if (methods !== undefined && target.type === "component") {
      add('"methods" is for apps: of calls to components, reads and writes with a request_id are repeated', "methods");
    }
  },
});

type RetryValue = z.output<typeof retry.schema>;

/** Over how long the budget is taken, in ms. */
const budgetWindowMs = 10_000;

/** How many more retries an app or component may get. */
export class RetryBudget {
  readonly #counts: SlidingCounts;
  readonly #value: RetryValue["budget"];

  constructor({ budget }: Pick<RetryValue, "budget">, clock: Clock) {
    this.#value = budget;
    this.#counts = new SlidingCounts(clock, budgetWindowMs);
  }

  /** Counts a call, from which retries may follow. */
  called(): void {
    this.#counts.add(0);
  }

  /** Takes one retry out of the budget; false if none is left. */
  take(): boolean {
    const { percent, minPerSecond } = this.#value;
    const allowed = Math.max((this.#counts.total(0) * percent) / 100, (minPerSecond * budgetWindowMs) / 1000);
    if (this.#counts.total(1) + 1 > allowed) return false;
    this.#counts.add(1);
    return true;
  }
}

/**
 * How long to wait before retry `number`, the first of which is 1: full jitter
 * (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/), so that those who failed together do not come back together.
 */
export function backoffMs({ backoff }: Pick<RetryValue, "backoff">, number: number, random: () => number): number {
  return random() * Math.min(backoff.max, backoff.min * 2 ** (number - 1));
}
