import { createManualClock } from "@mecha/component/conformance";
import { expect, test } from "vitest";
import { chiSquare, seeded } from "../../../test/random.js";
import type { Endpoint } from "../../mesh/balancer.js";
import { meets, type Outcome } from "../conditions.js";
import { SlidingCounts } from "../sliding-counts.js";
import { Bulkhead, bulkhead } from "./bulkhead.js";
import { CircuitBreaker, circuitBreaker } from "./circuit-breaker.js";
import { drawFault, fault } from "./fault.js";
import { Ejections, outlierEjection } from "./outlier-ejection.js";
import { rateLimit, TokenBucket } from "./rate-limit.js";
import { backoffMs, RetryBudget, retry } from "./retry.js";
import { drawShare, shareByHeaders, split } from "./split.js";

const endpoint = (id: string, version = ""): Endpoint => ({
  instance: { id, app: "orders", address: `${id}:1`, version, zone: "", weight: 100 },
  inFlight: 0,
  answeredAt: 0,
});

const answer = (status: number, code?: string): Outcome => ({ type: "answer", status, code });

const conditionCases: [on: Parameters<typeof meets>[0], outcome: Outcome, met: boolean][] = [
  [["connect-failure"], { type: "connect-failure" }, true],
  [["reset"], { type: "connect-failure" }, false],
  [["timeout"], { type: "timeout" }, true],
  [["5xx"], answer(500), true],
  [["5xx"], answer(499), false],
  [["5xx"], answer(200, "internal"), true],
  [["5xx"], answer(200, "not_found"), false],
  [["gateway-error"], answer(502), true],
  [["gateway-error"], answer(500), false],
  [[503], answer(503), true],
  [[503], answer(504), false],
  [["unavailable"], answer(503), true],
  [["unavailable"], answer(200, "unavailable"), true],
  [["unavailable"], answer(200, "internal"), false],
  [["resource_exhausted"], answer(429), true],
  [["aborted"], answer(200, "aborted"), true],
  [["5xx"], answer(200), false],
];

test.each(conditionCases)("%j on %j: %s", (on, outcome, met) => {
  expect(meets(on)(outcome)).toBe(met);
});

test("a window forgets what is older than it is", () => {
  const clock = createManualClock();
  const counts = new SlidingCounts(clock, 10_000);
  counts.add(0);
  clock.advance(5_000);
  counts.add(0);
  counts.add(1);
  expect([counts.total(0), counts.total(1)]).toEqual([2, 1]);
  clock.advance(5_000);
  expect([counts.total(0), counts.total(1)]).toEqual([1, 1]);
  clock.advance(5_000);
  expect([counts.total(0), counts.total(1)]).toEqual([0, 0]);
  clock.advance(1_000_000);
  counts.add(1);
  expect(counts.total(1)).toBe(1);
  // A clock that is set back keeps it no longer.
  clock.advance(-3_600_000);
  counts.add(1);
  expect(counts.total(1)).toBe(2);
  clock.advance(10_000);
  expect(counts.total(1)).toBe(0);
});

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

test("retries are a part of the calls, whatever fails: the budget", () => {
  const clock = createManualClock();
  const budget = new RetryBudget(retry.schema.parse({ budget: { percent: 20, minPerSecond: 1 } }), clock);
  let taken = 0;
  const take = () => {
    while (budget.take()) taken++;
  };
  take();
  expect(taken).toBe(10);
  for (let index = 0; index < 1_000; index++) budget.called();
  take();
  expect(taken).toBe(200);
  clock.advance(10_000);
  take();
  expect(taken).toBe(210);
});

test("waits double up to the longest, with full jitter", () => {
  const value = retry.schema.parse({ backoff: { min: "100ms", max: "1s" } });
  expect([1, 2, 3, 4, 5, 9].map((number) => backoffMs(value, number, () => 1))).toEqual([
    100, 200, 400, 800, 1000, 1000,
  ]);
  expect(backoffMs(value, 3, () => 0.25)).toBe(100);
  expect(backoffMs(value, 3, () => 0)).toBe(0);
});

test("a bulkhead lets so many in, lets some wait in their order, and refuses the rest", async () => {
  const clock = createManualClock();
  const gate = new Bulkhead(bulkhead.schema.parse({ maxConcurrent: 1, maxQueue: 3, maxWait: "1s" }), clock);
  const order: string[] = [];
  const enter = async (name: string, onGone?: (gone: () => void) => void) => {
    order.push(`${name} ${(await gate.enter(onGone)) ? "in" : "refused"}`);
  };
  let leave = () => {};
  expect(gate.enter()).toBe(true);
  const waiting = [enter("a"), enter("b", (gone) => (leave = gone)), enter("c")];
  expect(gate.enter()).toBe(false);
  leave();
  gate.leave();
  await waiting[0];
  clock.advance(1_000);
  await Promise.all(waiting);
  expect(order).toEqual(["b refused", "a in", "c refused"]);
  gate.leave();
  expect(gate.enter()).toBe(true);
  expect(clock.pending).toBe(0);
});

test("a bucket gives its burst, then its rate", () => {
  const clock = createManualClock();
  const bucket = new TokenBucket(rateLimit.schema.parse({ rate: "10/s", burst: 3 }), clock);
  const takeAll = () => {
    let taken = 0;
    while (bucket.take() === 0) taken++;
    return taken;
  };
  expect(takeAll()).toBe(3);
  expect(bucket.take()).toBe(100);
  clock.advance(99);
  expect(takeAll()).toBe(0);
  clock.advance(1);
  expect(takeAll()).toBe(1);
  clock.advance(60_000);
  expect(takeAll()).toBe(3);
  let sum = 0;
  for (let index = 0; index < 1_000; index++) {
    clock.advance(7);
    sum += takeAll();
  }
  expect(sum).toBe(70);
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

test("faults hit as many as they say, by chi-square on 10,000", () => {
  const value = fault.schema.parse({ delay: { duration: "1s", percent: 30 }, abort: { status: 503, percent: 10 } });
  const random = seeded(1);
  const drawn = Array.from({ length: 10_000 }, () => drawFault(value, random));
  const delayed = drawn.filter(({ delayMs }) => delayMs === 1_000).length;
  const aborted = drawn.filter(({ abort }) => abort !== undefined).length;
  expect(chiSquare([delayed, 10_000 - delayed], [30, 70])).toBeLessThan(10.83);
  expect(chiSquare([aborted, 10_000 - aborted], [10, 90])).toBeLessThan(10.83);
});

test("a split sends calls where it says, by chi-square on 10,000, and what nobody has to the others", () => {
  const shares = split.schema.parse([
    { headers: { "x-canary": "1" }, version: "2" },
    { weight: 90, version: "1" },
    { weight: 9, version: "2" },
    { weight: 1, version: "3" },
    { weight: 0, version: "0" },
  ]);
  const all = [endpoint("a", "1"), endpoint("b", "1"), endpoint("c", "2"), endpoint("d", "0")];
  const random = seeded(2);
  const counts = new Map<string, number>();
  for (let index = 0; index < 10_000; index++) {
    const version = drawShare(shares, all, random)[0]?.instance.version ?? "";
    counts.set(version, (counts.get(version) ?? 0) + 1);
  }
  expect([...counts.keys()].sort((a, b) => a.localeCompare(b))).toEqual(["1", "2"]);
  expect(chiSquare([counts.get("1") ?? 0, counts.get("2") ?? 0], [90, 9])).toBeLessThan(10.83);
  expect(drawShare(shares, all.slice(2), random)).toEqual([all[2]]);
  expect(drawShare(shares, all.slice(3), random)).toEqual([]);
  expect(shareByHeaders(shares, { "x-canary": "1" })?.version).toBe("2");
  expect(shareByHeaders(shares, {})).toBeUndefined();
});
