import { createManualClock } from "@mecha/component/conformance";
import { expect, test } from "vitest";
import { endpoint } from "../../../test/endpoint.js";
import type { Endpoint } from "../../mesh/balancer.js";
import { CircuitBreaker, circuitBreaker } from "./circuit-breaker.js";
import { Ejections, outlierEjection } from "./outlier-ejection.js";

// Circuit breakers and ejection: who fails is left alone for a while.

test("a breaker opens after failures in a row, tries after a while, and closes when that goes well", () => {
  const clock = createManualClock();
  const value = circuitBreaker.schema.parse({ consecutive: 3, openFor: "10s", halfOpenCalls: 2 });
  const breaker = new CircuitBreaker(value, clock);
  const call = (failed: boolean) => breaker.leave(breaker.enter() ?? -1, failed);
  for (const failed of [true, true, false, true, true]) call(failed);
  expect(breaker.state).toBe("closed");
  const late = breaker.enter() ?? -1;
  call(true);
  expect(breaker.state).toBe("open");
  expect(breaker.enter()).toBeUndefined();
  expect(breaker.waitMs).toBe(10_000);
  // A call that began before says nothing about now.
  breaker.leave(late, false);
  expect(breaker.state).toBe("open");

  clock.advance(10_000);
  expect(breaker.state).toBe("half-open");
  const [first, second] = [breaker.enter(), breaker.enter()];
  expect(breaker.enter()).toBeUndefined();
  // Its caller left: another may try in its place.
  breaker.leave(first ?? -1, undefined);
  const third = breaker.enter();
  expect(third).toBeDefined();
  breaker.leave(second ?? -1, false);
  expect(breaker.state).toBe("half-open");
  breaker.leave(third ?? -1, false);
  expect(breaker.state).toBe("closed");

  for (const failed of [true, true, true]) call(failed);
  clock.advance(10_000);
  call(true);
  expect(breaker.state).toBe("open");
  clock.advance(9_999);
  expect(breaker.enter()).toBeUndefined();
  clock.advance(1);
  expect(breaker.enter()).toBeDefined();
});

test("a breaker closes once the calls that try are answered, though they go on, and hears no more of them", () => {
  const clock = createManualClock();
  const breaker = new CircuitBreaker(circuitBreaker.schema.parse({ consecutive: 1, halfOpenCalls: 2 }), clock);
  breaker.leave(breaker.enter() ?? -1, true);
  clock.advance(10_000);
  const first = breaker.enter() ?? -1;
  breaker.leave(first, false);
  expect(breaker.state).toBe("half-open");
  const second = breaker.enter() ?? -1;
  expect(breaker.enter()).toBeUndefined();
  breaker.leave(second, false);
  expect(breaker.state).toBe("closed");
  breaker.leave(second, true);
  expect(breaker.state).toBe("closed");
});

test("calls that try and know nothing for as long as it was open make way for others, and are not heard of again", () => {
  const clock = createManualClock();
  const value = circuitBreaker.schema.parse({ consecutive: 1, openFor: "10s" });
  const breaker = new CircuitBreaker(value, clock);
  breaker.leave(breaker.enter() ?? -1, true);
  clock.advance(10_000);
  const hanging = breaker.enter() ?? -1;
  clock.advance(9_999);
  expect(breaker.enter()).toBeUndefined();
  expect([breaker.state, breaker.waitMs]).toEqual(["half-open", 1]);
  clock.advance(1);
  const other = breaker.enter() ?? -1;
  expect(breaker.enter()).toBeUndefined();
  breaker.leave(hanging, true);
  expect(breaker.state).toBe("half-open");
  breaker.leave(other, false);
  expect(breaker.state).toBe("closed");
});

test("a call that tries late has as long as the first one, and what went well before it counts", () => {
  const clock = createManualClock();
  const value = circuitBreaker.schema.parse({ consecutive: 1, openFor: "10s", halfOpenCalls: 2 });
  const breaker = new CircuitBreaker(value, clock);
  breaker.leave(breaker.enter() ?? -1, true);
  clock.advance(10_000);
  breaker.leave(breaker.enter() ?? -1, false);
  clock.advance(11_000);
  const late = breaker.enter() ?? -1;
  expect(breaker.enter()).toBeUndefined();
  breaker.leave(late, false);
  expect(breaker.state).toBe("closed");
});

test("a clock that is set back holds nothing open for longer", () => {
  const hour = 3_600_000;
  const clock = createManualClock();
  const breaker = new CircuitBreaker(circuitBreaker.schema.parse({ consecutive: 1, openFor: "1s" }), clock);
  breaker.leave(breaker.enter() ?? -1, true);
  const all = ["a", "b"].map((id) => endpoint(id));
  const [bad] = all as [Endpoint];
  const value = outlierEjection.schema.parse({ consecutiveErrors: 1, ejectFor: "10s" });
  const ejections = new Ejections(value, clock);
  ejections.record(bad, true, all);
  expect([breaker.state, breaker.waitMs, ejections.out]).toEqual(["open", 1_000, 1]);

  clock.advance(-hour);
  expect([breaker.state, breaker.waitMs]).toEqual(["half-open", 1]);
  expect(breaker.enter()).toBeDefined();
  expect([ejections.mayCall(bad), ejections.out]).toEqual([true, 0]);
  // The second time, and not as if it had been bad for the hour.
  ejections.record(bad, true, all);
  clock.advance(19_999);
  expect(ejections.mayCall(bad)).toBe(false);
  clock.advance(1);
  expect(ejections.mayCall(bad)).toBe(true);
});

test("a breaker opens when a part of the calls of a window failed, not before there were enough", () => {
  const clock = createManualClock();
  const value = circuitBreaker.schema.parse({ errorRate: 0.5, window: "10s", minCalls: 10 });
  const breaker = new CircuitBreaker(value, clock);
  const call = (failed: boolean) => breaker.leave(breaker.enter() ?? -1, failed);
  for (let index = 0; index < 9; index++) call(true);
  expect(breaker.state).toBe("closed");
  clock.advance(11_000);
  for (let index = 0; index < 11; index++) call(index % 2 === 0 && index > 0);
  expect(breaker.state).toBe("closed");
  call(true);
  expect(breaker.state).toBe("open");
});

test("an instance is left out after errors in a row, longer each time, and proves itself with one call at a time", () => {
  const clock = createManualClock();
  const value = outlierEjection.schema.parse({ consecutiveErrors: 3, ejectFor: "10s", maxEjectFor: "25s" });
  let count = 0;
  const ejections = new Ejections(value, clock, () => count++);
  const all = ["a", "b", "c"].map((id) => endpoint(id));
  const [bad] = all as [Endpoint];
  const fail = (times: number) => {
    for (let index = 0; index < times; index++) ejections.record(bad, true, all);
  };
  fail(2);
  ejections.record(bad, false, all);
  fail(2);
  expect(ejections.mayCall(bad)).toBe(true);
  fail(1);
  expect([ejections.mayCall(bad), ejections.out, count]).toEqual([false, 1, 1]);
  // What comes in late changes nothing.
  fail(5);
  ejections.record(bad, false, all);
  clock.advance(9_999);
  expect(ejections.mayCall(bad)).toBe(false);
  clock.advance(1);
  expect(ejections.mayCall(bad)).toBe(true);
  ejections.began(bad);
  expect(ejections.mayCall(bad)).toBe(false);
  fail(1);
  clock.advance(19_999);
  expect(ejections.mayCall(bad)).toBe(false);
  clock.advance(1);
  expect(ejections.mayCall(bad)).toBe(true);
  // The third time would be 30s.
  fail(1);
  clock.advance(25_000);
  expect(ejections.mayCall(bad)).toBe(true);
  ejections.began(bad);
  ejections.record(bad, false, all);
  ejections.began(bad);
  expect(ejections.mayCall(bad)).toBe(true);
  // Half a minute of being good, and it is as if it had been the first time.
  clock.advance(30_000);
  fail(3);
  clock.advance(10_000);
  expect(ejections.mayCall(bad)).toBe(true);
});

test("an instance that comes back is tried, whatever lasts: a stream from before, a trial whose caller left, one without an end", () => {
  const clock = createManualClock();
  const all = ["a", "b"].map((id) => endpoint(id));
  const [bad] = all as [Endpoint];
  const ejections = new Ejections(outlierEjection.schema.parse({ consecutiveErrors: 1, ejectFor: "10s" }), clock);
  bad.inFlight = 1;
  ejections.record(bad, true, all);
  // What goes to it although it is left out is no trial.
  ejections.began(bad);
  clock.advance(10_000);
  expect(ejections.mayCall(bad)).toBe(true);
  // To ask is not to begin.
  expect(ejections.mayCall(bad)).toBe(true);
  ejections.began(bad);
  expect(ejections.mayCall(bad)).toBe(false);
  ejections.record(bad, undefined, all);
  expect(ejections.mayCall(bad)).toBe(true);
  ejections.began(bad);
  clock.advance(9_999);
  ejections.began(bad);
  expect(ejections.mayCall(bad)).toBe(false);
  clock.advance(1);
  expect(ejections.mayCall(bad)).toBe(true);
  ejections.began(bad);
  clock.advance(-3_600_000);
  expect(ejections.mayCall(bad)).toBe(true);
  ejections.began(bad);
  ejections.record(bad, false, all);
  ejections.began(bad);
  expect([ejections.mayCall(bad), ejections.isInDoubt(bad)]).toEqual([true, false]);
});

test.each([
  [3, 80, 2],
  [2, 80, 1],
  [1, 80, 0],
  [10, 50, 5],
  [4, 100, 4],
])("of %s instances, with %s %%, at most %s are left out", (instances, percent, out) => {
  const ejections = new Ejections(
    outlierEjection.schema.parse({ maxEjectedPercent: percent, consecutiveErrors: 1 }),
    createManualClock(),
  );
  const all = Array.from({ length: instances }, (_, index) => endpoint(`i${index}`));
  for (const each of all) ejections.record(each, true, all);
  expect(ejections.out).toBe(out);
});
