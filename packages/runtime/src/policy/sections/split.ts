import { z } from "@mecha/component";
import { headerConditions } from "../header-match.js";
import { defineSection } from "../section.js";

const label = (what: string) => z.string().min(1).max(128).describe(what);

const share = z.strictObject({
  weight: z
    .number()
    .min(0)
    .max(1_000_000)
    .optional()
    .describe("Its share of the calls that no `headers` take. Either this or `headers`."),
  headers: headerConditions(
    "The calls that it takes whatever the weights; the first entry that fits does. Either this or `weight`.",
  ).optional(),
  version: label("The instances of this version (`--app-version`).").optional(),
  zone: label("The instances in this zone (`--zone`).").optional(),
});

/** Which instances a call may go to. */
export const split = defineSection({
  schema: z
    .array(share)
    .min(1)
    .max(32)
    .describe(
      "Which instances get which calls: those with certain headers, and shares of the rest by weight. A share whose instances are all away or ejected goes to the others; with `headers` there are no others. Default: any instance.",
    ),
  targets: ["app"],
  by: "caller",
  check(shares, { add }) {
    for (const [index, { weight, headers, version, zone }] of shares.entries()) {
      if ((weight === undefined) === (headers === undefined)) {
        add('it needs one of "weight" and "headers": say which calls it takes', index);
      }
      if (version === undefined && zone === undefined) {
        add('it names no instances: say which "version" or "zone" takes the calls', index);
      }
    }
    const weights = shares.flatMap(({ weight }) => weight ?? []);
    if (weights.length > 0 && weights.every((weight) => weight === 0)) {
      add("the sum of the weights is 0, so nobody would take a call; give one of them a weight");
    }
  },
});
