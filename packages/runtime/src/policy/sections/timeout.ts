import { z } from "@mecha/component";
import { duration, formatDuration } from "../../config/duration.js";
import { defineSection } from "../section.js";

const bounds = [1, 24 * 3_600_000] as const;

/** How long a call may take. */
export const timeout = defineSection({
  schema: z
    .strictObject({
      total: duration(
        "How long the call may take, retries, waits and the answer's body included; then it ends with 504, or DEADLINE_EXCEEDED. WebSockets are not ended. It is passed on as a deadline; an earlier one of the caller's holds. Default: no limit.",
        bounds,
      ).optional(),
      perTry: duration(
        "How long one attempt may take until its answer begins; at most `total`. Default: no limit.",
        bounds,
      ).optional(),
    })
    .describe("How long a call may take. Default: as long as its caller waits."),
  targets: ["app", "component"],
  by: "caller",
  check({ total, perTry }, { add }) {
    if (total === undefined && perTry === undefined) add('it says nothing: write "total", "perTry" or both');
    if (total !== undefined && perTry !== undefined && perTry > total) {
      const message = `"perTry" (${formatDuration(perTry)}) is more than "total" (${formatDuration(total)}): no attempt could take that long`;
      add(message, "perTry");
    }
  },
});
