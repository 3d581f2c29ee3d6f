import { expect, test } from "vitest";
import { chiSquare, seeded } from "../../test/random.js";
import { type Balancer, type Endpoint, leastRequest, randomly, ringHash, roundRobin } from "./balancer.js";

const endpoint = (id: string, weight = 100): Endpoint => ({
  instance: { id, app: "orders", address: `${id}:1`, version: "", zone: "", weight },
  inFlight: 0,
  answeredAt: 0,
});

const picks = 10_000;

function count(balancer: Balancer, endpoints: readonly Endpoint[]): number[] {
  const counts = new Map(endpoints.map((each) => [each, 0]));
  for (let index = 0; index < picks; index++) {
    const chosen = balancer.pick(endpoints);
    counts.set(chosen, (counts.get(chosen) ?? 0) + 1);
  }
  return [...counts.values()];
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

test("random gives each its share, by chi-square on 10,000 picks", () => {
  const equal = count(
    randomly(seeded(5)),
    ["a", "b", "c", "d"].map((id) => endpoint(id)),
  );
  expect(chiSquare(equal, [1, 1, 1, 1])).toBeLessThan(16.27);
  const weighted = count(randomly(seeded(6)), [endpoint("a", 60), endpoint("b", 30), endpoint("c", 10)]);
  expect(chiSquare(weighted, [60, 30, 10])).toBeLessThan(13.82);
});

test("ring hash spreads keys by weight, by chi-square on 10,000 keys", () => {
  const balancer = ringHash(seeded(7));
  const endpoints = [endpoint("10.0.0.1", 60), endpoint("10.0.0.2", 30), endpoint("10.0.0.3", 10)];
  const counts = endpoints.map(() => 0);
  for (let index = 0; index < picks; index++) {
    const at = endpoints.indexOf(balancer.pick(endpoints, `user-${index}`));
    counts[at] = (counts[at] ?? 0) + 1;
  }
  expect(chiSquare(counts, [60, 30, 10])).toBeLessThan(13.82);
});

test("ring hash gives a key the same instance, in every runtime; when one leaves only its keys move", () => {
  const endpoints = ["a", "b", "c", "d", "e"].map((id) => endpoint(id));
  const [one, other] = [ringHash(seeded(8)), ringHash(seeded(9))];
  let moved = 0;
  for (let index = 0; index < picks; index++) {
    const key = `cart/${index}`;
    const before = one.pick(endpoints, key);
    expect(other.pick([...endpoints].reverse(), key)).toBe(before);
    const after = one.pick(endpoints.slice(1), key);
    if (after !== before) moved++;
    if (before !== endpoints[0]) expect(after).toBe(before);
  }
  expect(chiSquare([moved, picks - moved], [1, 4])).toBeLessThan(10.83);
});
