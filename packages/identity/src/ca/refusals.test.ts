import { createManualClock } from "@mecha/component/conformance";
import { expect, test } from "vitest";
import { createRefusals, groupOf, maxRefusals } from "./refusals.js";

test("an address waits out its minute, and others do not; a clock that is set back locks nobody out", () => {
  const clock = createManualClock();
  const refusals = createRefusals(clock);
  const refuse = (address: string) => {
    for (let count = 0; count < maxRefusals; count++) refusals.count(address);
  };
  refuse("10.0.0.1");
  expect(refusals.waitMs("10.0.0.1")).toBe(60_000);
  expect(refusals.waitMs("10.0.0.2")).toBe(0);
  clock.advance(60_000);
  expect(refusals.waitMs("10.0.0.1")).toBe(0);
  refuse("10.0.0.1");
  clock.advance(-1);
  expect(refusals.waitMs("10.0.0.1")).toBe(0);
});

test("it keeps count of so many addresses, and of the latest", () => {
  const refusals = createRefusals(createManualClock());
  for (let count = 0; count < maxRefusals; count++) refusals.count("first");
  for (let index = 0; index < 10_000; index++) {
    expect(refusals.waitMs("first")).toBeGreaterThan(0);
    refusals.count(`10.0.${index >> 8}.${index & 255}`);
  }
  expect(refusals.waitMs("first")).toBe(0);
});

test.each([
  ["10.0.0.1", "10.0.0.1"],
  ["::ffff:10.0.0.1", "10.0.0.1"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2"],
  ["2001:DB8:1:2::9", "2001:db8:1:2"],
  ["2001:db8::1", "2001:db8:0:0"],
  ["fe80::1%eth0", "fe80:0:0:0"],
  ["::1", "0:0:0:0"],
])("%s counts with %s", (address, group) => {
  expect(groupOf(address)).toBe(group);
});
