import { createManualClock, type PubSubHarness, pubsubConformance } from "@mecha/component/conformance";
import { describe, expect, test } from "vitest";
import { type Change, clientOf, openPubSub } from "./pubsubs.js";
import { mutants } from "./wrong-pubsub/index.js";

// Who watches the suite: a right pubsub passes it, and every kind of wrong one is caught.

const features = ["ORDERED", "DELAY", "REPLAY", "DEDUP", "TTL"] as const;

/** One pubsub for all components that are opened, which outlives them. */
async function lastingHarness(change?: Change): Promise<PubSubHarness> {
  const clock = createManualClock();
  const pubsub = await openPubSub(clock);
  return {
    open: () => clientOf(pubsub, change),
    features,
    durability: "HOST",
    shared: true,
    holdsBack: "key",
    advance: clock.advance,
  };
}

const shared = await lastingHarness();

describe("the suite passes a pubsub that several components share and that outlives them", () => {
  for (const { name, run } of pubsubConformance(shared)) test(name, run);
});

test("the suite leaves out what belongs to a feature that is not there", () => {
  const names = (wanted: PubSubHarness["features"]) =>
    pubsubConformance({ ...shared, features: wanted }).map(({ name }) => name);
  const core = names([]);
  expect(core).toContain("never delivers again what was acked");
  for (const { name, feature } of pubsubConformance(shared)) expect(core.includes(name)).toBe(feature === undefined);
  for (const feature of features) expect(names([feature]).length).toBeGreaterThan(core.length);
});

const wrong: { name: string; caught: readonly string[]; harness: () => Promise<PubSubHarness> }[] = [
  ...mutants.map(({ name, caught, change }) => {
    return { name, caught, harness: () => lastingHarness(change) };
  }),
  {
    name: "forgets everything when it is closed",
    caught: ["keeps everything across a restart"],
    async harness() {
      const clock = createManualClock();
      return {
        ...(await lastingHarness()),
        open: async () => clientOf(await openPubSub(clock)),
        advance: clock.advance,
      };
    },
  },
];

describe.concurrent("the suite catches a pubsub that", () => {
  test.each(wrong)("$name", { timeout: 60_000 }, async ({ caught, harness }) => {
    const bound = { ...(await harness()), deadlineMs: 20_000 };
    const cases = pubsubConformance(bound).filter(({ name }) => caught.includes(name));
    expect(cases.map(({ name }) => name).length, "every case that is named is there").toBe(caught.length);
    const outcomes = await Promise.allSettled(cases.map(({ run }) => run()));
    const found = cases.filter((_, index) => outcomes[index]?.status === "rejected").map(({ name }) => name);
    expect(new Set(found)).toEqual(new Set(caught));
  });
});

test("every case catches a pubsub that is wrong", () => {
  const caught = new Set(wrong.flatMap((one) => one.caught));
  const idle = pubsubConformance(shared).filter(({ name }) => !caught.has(name));
  expect(idle.map(({ name }) => name)).toEqual([]);
});
