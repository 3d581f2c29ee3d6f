import { expect, test } from "vitest";
import { leftOf, noWait, startWait } from "./wait.js";

test("a wait is over in its time, and where the clock is set back by more than is corrected all day", () => {
  const wait = startWait(5_000, 100_000);
  const left = [100_000, 103_000, 105_000, 106_000].map((now) => leftOf(wait, now));
  expect(left).toEqual([5_000, 2_000, 0, 0]);
  // A small step back makes it no longer, and does not end it.
  expect([99_999, 99_000, 98_999, 0].map((now) => leftOf(wait, now))).toEqual([5_000, 5_000, 0, 0]);
  expect([leftOf(noWait, 100_000), leftOf(startWait(Number.POSITIVE_INFINITY, 0), 1)]).toEqual([
    0,
    Number.POSITIVE_INFINITY,
  ]);
});
