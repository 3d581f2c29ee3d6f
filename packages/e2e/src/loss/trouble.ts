import { MechaError } from "@mecha/client";

/** What a caller may meet while things are killed, beside an unavailable runtime or component. */
const passing = new Set([
  "OUTCOME_UNKNOWN",
  "COMPONENT_UNAVAILABLE",
  "EARLIER_FAILED",
  "DEADLINE_EXCEEDED",
  "RATE_LIMITED",
]);

/** Whether an error is one of those that kills explain: trying again is right. */
export const passes = (error: unknown): boolean =>
  error instanceof MechaError && (error.code === "unavailable" || passing.has(error.reason));
