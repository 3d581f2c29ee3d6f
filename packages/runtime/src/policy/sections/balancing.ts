import { z } from "@mecha/component";
import { defineSection } from "../section.js";

/** Which of the instances gets a call. */
export const balancing = defineSection({
  schema: z
    .strictObject({
      algorithm: z
        .enum(["least-request", "round-robin", "random", "ring-hash"])
        .default("least-request")
        .describe(
          "least-request: of two at random the one with fewer calls under way. round-robin: one after the other. random: any. ring-hash: calls with the same `hashOn` go to the same instance while it is there. All heed the instances' weights.",
        ),
      hashOn: z
        .union([
          z.strictObject({ header: z.string().min(1).max(256).toLowerCase().describe("The header with the value.") }),
          z.strictObject({ cookie: z.string().min(1).max(256).describe("The cookie with the value.") }),
        ])
        .optional()
        .describe("With ring-hash: what is hashed. A call without it goes to any instance."),
    })
    .describe("Which of an app's instances gets a call. Default: least-request."),
  targets: ["app"],
  by: "caller",
  byDefault: { algorithm: "least-request" },
  check({ algorithm, hashOn }, { add }) {
    if (algorithm === "ring-hash" && hashOn === undefined) {
      add('"ring-hash" needs "hashOn": say which header or cookie is hashed: hashOn: { header: x-user }');
    }
    if (algorithm !== "ring-hash" && hashOn !== undefined) add('"hashOn" is for "algorithm: ring-hash"', "hashOn");
  },
});
