import { z } from "@mecha/component";
import { duration } from "../../config/duration.js";
import { defineSection } from "../section.js";

/** How many calls of other apps may be with the app. */
export const concurrency = defineSection({
  schema: z
    .strictObject({
      maxConcurrent: z.int().min(1).max(100_000).describe("Calls that may be with each instance of the app at a time."),
      maxQueue: z
        .int()
        .min(0)
        .max(100_000)
        .default(0)
        .describe("Calls that may wait for their turn, first come, first served. Default: 0."),
      maxWait: duration("How long a call waits at the most. Default: 1s.", [1, 3_600_000]).default(1_000),
    })
    .describe(
      "How many calls may be with an instance of the app; what is too many is refused with 503, and goes to another instance where there is one. Default: no limit.",
    ),
  targets: ["app"],
  by: "callee",
});
