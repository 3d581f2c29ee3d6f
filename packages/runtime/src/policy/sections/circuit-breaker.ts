import { z } from "@mecha/component";
import { duration } from "../../config/duration.js";
import { conditions, failures } from "../conditions.js";
import { defineSection } from "../section.js";

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
        .describe("How many calls then try: if all go well it closes, after one failure it opens anew."),
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
