import { z } from "@mecha/component";
import { duration } from "../../config/duration.js";
import { codes } from "../codes.js";
import { defineSection } from "../section.js";

const percent = z.number().min(0).max(100).default(100).describe("Of how many attempts, in percent.");

/** Faults that are made on purpose. */
export const fault = defineSection({
  schema: z
    .strictObject({
      delay: z
        .strictObject({
          duration: duration("How long.", [1, 600_000]),
          percent,
        })
        .optional()
        .describe("Attempts that wait before they are made."),
      abort: z
        .strictObject({
          status: z.int().min(400).max(599).optional().describe("The HTTP status. Either this or `code`."),
          code: z.enum(codes).optional().describe("The gRPC or Connect code. Either this or `status`."),
          percent,
        })
        .optional()
        .describe("Attempts that are not made, but end as if an instance had answered so."),
    })
    .describe(
      "Faults made on purpose, to see what happens: retries, circuit breakers and ejection see them as an instance's own. Default: none.",
    ),
  targets: ["app", "component"],
  by: "caller",
  check({ delay, abort }, { target, add }) {
    if (delay === undefined && abort === undefined) add('it says nothing: write "delay", "abort" or both');
    if (abort === undefined) return;
    if ((abort.status === undefined) === (abort.code === undefined)) {
      add('it needs one of "status" and "code"', "abort");
    }
    if (abort.status !== undefined && target.type === "component") {
      add('components have no HTTP status: write "code"', "abort", "status");
    }
  },
});

type FaultValue = z.output<typeof fault.schema>;

/** What is to happen to one attempt. */
export function drawFault(
  { delay, abort }: FaultValue,
  random: () => number,
): { readonly delayMs: number; readonly abort: FaultValue["abort"] } {
  const hits = ({ percent }: { percent: number }) => random() * 100 < percent;
  return {
    delayMs: delay !== undefined && hits(delay) ? delay.duration : 0,
    abort: abort !== undefined && hits(abort) ? abort : undefined,
  };
}
