import { expect, test } from "vitest";
import { type Balancer, type Endpoint, leastRequest, roundRobin } from "./balancer.js";

const endpoint = (id: string, weight = 100): Endpoint => ({
  instance: { id, app: "orders", address: `${id}:1`, version: "", zone: "", weight },
  inFlight: 0,
});

/** A generator of the same numbers each time (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const picks = 10_000;

function count(balancer: Balancer, endpoints: readonly Endpoint[]): number[] {
  const counts = new Map(endpoints.map((each) => [each, 0]));
  for (let index = 0; index < picks; index++) {
    const chosen = balancer.pick(endpoints);
    counts.set(chosen, (counts.get(chosen) ?? 0) + 1);
  }
  return [...counts.values()];
}

/** Pearson's statistic of what was counted against shares of 10,000 picks. */
function chiSquare(counts: readonly number[], shares: readonly number[]): number {
  const total = shares.reduce((sum, share) => sum + share, 0);
  return counts.reduce((sum, found, index) => {
    const expected = (picks * (shares[index] ?? 0)) / total;
    return sum + (found - expected) ** 2 / expected;
  }, 0);
}

test("round robin gives each its share, exactly", () => {
  expect(count(roundRobin(), [endpoint("a"), endpoint("b"), endpoint("c"), endpoint("d")])).toEqual([
    2500, 2500, 2500, 2500,
  ]);
  expect(count(roundRobin(), [endpoint("a", 90), endpoint("b", 10)])).toEqual([9000, 1000]);
});

test("round robin spreads the shares: the lighter one does not come in a row", () => {
  const balancer = roundRobin();
  const endpoints = [endpoint("a", 2), endpoint("b", 1)];
  const order = Array.from({ length: 6 }, () => balancer.pick(endpoints).instance.id).join("");
  expect(order).toBe("abaaba");
});

test("least request gives idle instances their shares, by chi-square on 10,000 picks", () => {
  // 4 endpoints: 3 degrees of freedom, 16.27 is exceeded by chance once in a thousand.
  const equal = count(
    leastRequest(seeded(1)),
    ["a", "b", "c", "d"].map((id) => endpoint(id)),
  );
  expect(chiSquare(equal, [1, 1, 1, 1])).toBeLessThan(16.27);
  const canary = count(leastRequest(seeded(4)), [endpoint("a", 90), endpoint("b", 10)]);
  expect(chiSquare(canary, [90, 10])).toBeLessThan(10.83);
});

test("least request prefers whoever has fewer calls in flight for its weight", () => {
  const [busy, idle] = [endpoint("a"), endpoint("b")];
  busy.inFlight = 10;
  const [toBusy = 0, toIdle = 0] = count(leastRequest(seeded(2)), [busy, idle]);
  // The busy one is taken only when both draws fall on it: a quarter.
  expect(chiSquare([toBusy, toIdle], [1, 3])).toBeLessThan(10.83);
  const [light, heavy] = [endpoint("a", 10), endpoint("b", 90)];
  [light.inFlight, heavy.inFlight] = [1, 9];
  expect(chiSquare(count(leastRequest(seeded(3)), [light, heavy]), [10, 90])).toBeLessThan(10.83);
});

test("one endpoint gets everything", () => {
  const only = endpoint("a");
  expect(leastRequest(Math.random).pick([only])).toBe(only);
  expect(roundRobin().pick([only])).toBe(only);
});
