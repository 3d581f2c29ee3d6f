import { expect, test } from "vitest";
import { createManualClock } from "./manual-clock.js";

test("callbacks come in the order of their times, and each sees its own time", () => {
  const clock = createManualClock(1_000);
  const calls: [string, number][] = [];
  const call = (name: string) => () => calls.push([name, clock.now()]);
  clock.after(20, call("second"));
  clock.after(10, call("first"));
  clock.after(10, () => clock.after(5, call("set meanwhile")));
  const cancel = clock.after(15, call("cancelled"));
  clock.after(31, call("later"));
  cancel();
  clock.advance(30);
  expect(calls).toEqual([
    ["first", 1_010],
    ["set meanwhile", 1_015],
    ["second", 1_020],
  ]);
  expect(clock.now()).toBe(1_030);
  expect(clock.pending).toBe(1);
});

test("without being turned it stands still", () => {
  const clock = createManualClock();
  expect(clock.now()).toBe(Date.UTC(2026, 0, 1));
  clock.after(0, () => expect.unreachable());
});
