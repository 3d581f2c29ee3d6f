import type { Duration } from "@bufbuild/protobuf/wkt";
import { toMs } from "./time.js";
import type { Violations } from "./validation.js";

/** A duration in whole ms, rounded up, within bounds; `fallback` if it is not set. */
export function within<Fallback>(
  duration: Duration | undefined,
  [min, max]: readonly [number, number],
  fallback: Fallback,
  field: string,
  violations: Violations,
): number | Fallback {
  if (duration === undefined) return fallback;
  const ms = toMs(duration);
  if (ms !== undefined && ms >= min && ms <= max) return ms;
  violations.add(
    field,
    `is ${Number(duration.seconds) + duration.nanos / 1e9} s; ${min / 1000} to ${max / 1000} s are allowed`,
  );
  return fallback;
}

/** A number within bounds; 0 means `fallback`. */
export function toCount(
  value: number,
  [min, max]: readonly [number, number],
  fallback: number,
  field: string,
  violations: Violations,
): number {
  if (value === 0) return fallback;
  if (value < min || value > max)
    violations.add(field, `is ${value}; ${min} to ${max} are allowed, 0 means ${fallback}`);
  return value;
}
