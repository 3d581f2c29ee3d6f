import { z } from "@mecha/component";
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
