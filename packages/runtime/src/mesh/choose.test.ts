import { createManualClock } from "@mecha/component/conformance";
import { expect, test } from "vitest";
import { seeded } from "../../test/random.js";
import { Ejections, outlierEjection } from "../policy/sections/outlier-ejection.js";
import { balancers, type Endpoint } from "./balancer.js";
import { type Choice, choose } from "./choose.js";

const endpoint = (id: string, answeredAt = 0): Endpoint => ({
  instance: { id, app: "orders", address: `${id}:1`, version: "", zone: "", weight: 100 },
  inFlight: 0,
  answeredAt,
});

/** Who gets how many of 1,000 calls to `endpoints`, after `tried` failed them; the last attempt began at 100. */
function count(
  endpoints: readonly Endpoint[],
  {
    tried = [],
    failed = [],
    hashOn,
  }: { tried?: Endpoint[]; failed?: Endpoint[]; hashOn?: Choice["engines"]["hashOn"] },
): Record<string, number> {
  const random = seeded(1);
  const ejections = new Ejections(outlierEjection.schema.parse({}), createManualClock());
  for (const each of failed) ejections.record(each, true, endpoints);
  const algorithm = hashOn === undefined ? "least-request" : "ring-hash";
  const engines = { split: undefined, balancer: balancers[algorithm](random), hashOn, ejections };
  const counts: Record<string, number> = {};
  for (let index = 0; index < 1_000; index++) {
    const chosen = choose(endpoints, {
      app: "orders",
      engines,
      headers: { "x-user": "7" },
      tried: new Set(tried),
      retriedSince: tried.length === 0 ? undefined : 100,
      isAvoided: () => false,
      random,
    });
    const id = chosen?.instance.id ?? "nobody";
    counts[id] = (counts[id] ?? 0) + 1;
  }
  return counts;
}

const names = (counts: Record<string, number>) => Object.keys(counts).toSorted((a, b) => a.localeCompare(b));

test("a call that failed is not sent to an instance whose last call failed, while there is another", () => {
  const [a, b, c] = [endpoint("a"), endpoint("b", 500), endpoint("c")];
  expect(count([a, b, c], { tried: [a], failed: [a, b] })).toEqual({ c: 1_000 });
  // First attempts are: otherwise nobody would find out that it is well again, or how ill it is.
  expect(names(count([a, b, c], { failed: [a, b] }))).toEqual(["a", "b", "c"]);
  expect(count([a, b, c], { tried: [a, c], failed: [a, b, c] })).toEqual({ b: 1_000 });
  expect(count([a], { tried: [a], failed: [a] })).toEqual({ nobody: 1_000 });
});

test("a call that failed goes to one that has answered since, for one that hangs shows no other sign", () => {
  const [a, hangs, alive, also] = [endpoint("a"), endpoint("hangs", 99), endpoint("alive", 100), endpoint("also", 130)];
  expect(names(count([a, hangs, alive, also], { tried: [a] }))).toEqual(["alive", "also"]);
  // Where nobody was called meanwhile, nothing is known.
  expect(names(count([a, hangs, endpoint("idle")], { tried: [a] }))).toEqual(["hangs", "idle"]);
  expect(names(count([a, hangs, alive], {}))).toEqual(["a", "alive", "hangs"]);
});

test("a call that belongs to an instance by its key goes to one other instance each time", () => {
  const all = ["a", "b", "c"].map((id) => endpoint(id));
  const hashOn = { header: "x-user" };
  const [first, ...none] = Object.keys(count(all, { hashOn }));
  expect(none).toEqual([]);
  const tried = all.filter(({ instance }) => instance.id === first);
  const second = count(all, { hashOn, tried });
  expect(Object.values(second)).toEqual([1_000]);
  expect(first === undefined || first in second).toBe(false);
});
