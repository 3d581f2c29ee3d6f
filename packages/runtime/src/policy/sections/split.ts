import type { IncomingHttpHeaders } from "node:http";
import { z } from "@mecha/component";
import type { Endpoint } from "../../mesh/balancer.js";
import { headerConditions, unmetHeader } from "../header-match.js";
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

type Share = z.output<typeof share>;

/** Whether an instance belongs to a share. */
export function isIn({ version, zone }: Share, { instance }: Endpoint): boolean {
  return (version === undefined || instance.version === version) && (zone === undefined || instance.zone === zone);
}

/** "version 2 in zone b" */
export function describeShare({ version, zone }: Share): string {
  return [version && `version ${version}`, zone && `zone ${zone}`].filter(Boolean).join(" in ");
}

/** The share that takes a call by its headers, if one does. */
export function shareByHeaders(shares: readonly Share[], headers: IncomingHttpHeaders): Share | undefined {
  return shares.find((each) => each.headers !== undefined && unmetHeader(each.headers, headers) === undefined);
}

/** Whether some of the calls go by weight: else those that no headers take go anywhere. */
export function hasWeights(shares: readonly Share[]): boolean {
  return shares.some(({ weight }) => weight !== undefined);
}

/** Those of `endpoints` that a call by weight may go to: of one share, drawn among those that have any. */
export function drawShare(shares: readonly Share[], endpoints: readonly Endpoint[], random: () => number): Endpoint[] {
  const groups = shares.flatMap((each) => {
    const { weight = 0 } = each;
    if (weight === 0) return [];
    const members = endpoints.filter((endpoint) => isIn(each, endpoint));
    return members.length === 0 ? [] : [{ weight, members }];
  });
  let left = random() * groups.reduce((sum, { weight }) => sum + weight, 0);
  for (const { weight, members } of groups) {
    left -= weight;
    if (left < 0) return members;
  }
  return groups.at(-1)?.members ?? [];
}
