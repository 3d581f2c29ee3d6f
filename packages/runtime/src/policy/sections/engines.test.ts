import { createManualClock } from "@mecha/component/conformance";
import { expect, test } from "vitest";
import { endpoint } from "../../../test/endpoint.js";
import { chiSquare, seeded } from "../../../test/random.js";
import { meets, type Outcome } from "../conditions.js";
import { SlidingCounts } from "../sliding-counts.js";
import { Bulkhead, bulkhead } from "./bulkhead.js";
import { drawFault, fault } from "./fault.js";
import { rateLimit, TokenBucket } from "./rate-limit.js";
import { backoffMs, RetryBudget, retry } from "./retry.js";
import { drawShare, shareByHeaders, split } from "./split.js";

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
