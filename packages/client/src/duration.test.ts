import { expect, it } from "vitest";
import { type Duration, toMilliseconds } from "./duration.js";

it.each<[Duration, number]>([
  [0, 0],
  [1500, 1500],
  ["250ms", 250],
  ["30s", 30_000],
  ["10m", 600_000],
  ["1.5h", 5_400_000],
  ["7d", 604_800_000],
])("%j is %d ms", (duration, milliseconds) => {
  expect(toMilliseconds(duration)).toBe(milliseconds);
});

it.each(["", "10", "m", "-1s", "1 m", "1w", "1e3s", -1, Number.NaN, Number.POSITIVE_INFINITY])(
  "%j is no duration, and the error says how one is written",
  (duration) => {
    expect(() => toMilliseconds(duration as Duration, "ttl")).toThrow(
      expect.objectContaining({ reason: "BAD_REQUEST", violations: [expect.objectContaining({ field: "ttl" })] }),
    );
  },
);
