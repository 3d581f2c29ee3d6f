import type { IncomingHttpHeaders } from "node:http";
import { z } from "@mecha/component";

/** Headers that a call must have, as YAML has them: an exact value, or whether there is one at all. */
export const headerConditions = (what: string) =>
  z
    .record(
      z.string().regex(/^[!#$%&'*+.^_`|~0-9a-z-]{1,256}$/, "must be the name of a header, in lower case"),
      z.union([
        z.string().max(1_024).describe("The value, exactly."),
        z.strictObject({ present: z.boolean().describe("Whether the call has the header, whatever its value.") }),
      ]),
    )
    .refine((headers) => Object.keys(headers).length > 0, "must name a header")
    .describe(what);

export type HeaderConditions = z.output<ReturnType<typeof headerConditions>>;

/** The first of `conditions` that `headers` do not meet, in words; undefined if they meet all. */
export function unmetHeader(conditions: HeaderConditions, headers: IncomingHttpHeaders): string | undefined {
  for (const name of Object.keys(conditions)) {
    const condition = conditions[name];
    const found = headers[name];
    const value = Array.isArray(found) ? found.join(", ") : found;
    if (typeof condition === "string") {
      if (value !== condition) return `header ${name} is not ${JSON.stringify(condition)}`;
    } else if (condition !== undefined && (value !== undefined) !== condition.present) {
      return condition.present ? `there is no header ${name}` : `there is a header ${name}`;
    }
  }
  return undefined;
}

/** Whether a call can meet both. */
export function canMeetBoth(a: HeaderConditions, b: HeaderConditions): boolean {
  return Object.entries(a).every(([name, wanted]) => {
    const other = b[name];
    if (other === undefined) return true;
    if (typeof wanted === "string" && typeof other === "string") return wanted === other;
    return isThere(wanted) === isThere(other);
  });
}

const isThere = (condition: HeaderConditions[string]) => typeof condition === "string" || condition.present;
