import { z } from "@mecha/component";
import { duration } from "../../config/duration.js";
import { conditions, failures } from "../conditions.js";
import { defineSection } from "../section.js";

/** When an instance that fails gets no calls for a while. */
export const outlierEjection = defineSection({
  schema: z
    .strictObject({
      consecutiveErrors: z
        .int()
        .min(0)
        .max(1_000)
        .default(5)
        .describe(
          "How many errors in a row eject an instance; 0: none ever is. One that came back goes after its first.",
        ),
      ejectFor: duration(
        "How long it is left out the first time; each further time it is as much longer. Default: 10s.",
        [10, 3_600_000],
      ).default(10_000),
      maxEjectFor: duration("How long it is left out at the most. Default: 5m.", [10, 24 * 3_600_000]).default(300_000),
      maxEjectedPercent: z
        .number()
        .min(0)
        .max(100)
        .default(80)
        .describe("How many of the app's instances may be left out at a time, in percent, rounded down."),
      on: conditions("What is an error.").default([...failures]),
    })
    .describe(
      "Leaves an instance that fails alone for a while; then one call at a time tries it until one went well. Default: as written with no field given.",
    ),
  targets: ["app"],
  by: "caller",
  byDefault: {},
  check({ ejectFor, maxEjectFor }, { add }) {
    if (maxEjectFor < ejectFor) add('"maxEjectFor" is less than "ejectFor"', "maxEjectFor");
  },
});
