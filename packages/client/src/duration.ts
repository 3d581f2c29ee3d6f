import { type Duration as DurationMessage, durationFromMs } from "@bufbuild/protobuf/wkt";
import { badRequest } from "./errors.js";

/** A length of time: a number of milliseconds, or a number and its unit: `"250ms"`, `"30s"`, `"10m"`, `"1.5h"`, `"7d"`. */
export type Duration = number | `${number}${keyof typeof units}`;

const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/**
 * A duration in ms.
 *
 * @param field what the duration is for, named in the error of one that is malformed or negative.
 */
export function toMilliseconds(duration: Duration, field = "duration"): number {
  if (typeof duration === "number" && Number.isFinite(duration) && duration >= 0) return duration;
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(String(duration));
  if (match === null) {
    throw badRequest(
      field,
      `${JSON.stringify(duration)} is not a duration; write milliseconds or "250ms", "30s", "10m", "1.5h", "7d"`,
    );
  }
  return Number(match[1]) * units[match[2] as keyof typeof units];
}

/** A duration as contracts have it, in whole ms. */
export function toDuration(duration: Duration, field: string): DurationMessage {
  return durationFromMs(Math.ceil(toMilliseconds(duration, field)));
}
