import { type Component, type StateStore, systemClock } from "@mecha/component";
import { createManualClock, type StateHarness, stateConformance } from "@mecha/component/conformance";
import { describe, expect, test } from "vitest";
import { type Mutant, mutants } from "./mutants.js";
import { clientOf, componentOf, openStore } from "./stores.js";

// Who watches the suite: every kind of harness passes it, and every kind of wrong store is caught.

const features = ["TRANSACT", "WATCH", "TTL"] as const;

/** One that shares a store between the components that are open at once, and keeps it when they are closed. */
async function lastingHarness(open: (store: StateStore) => Component = clientOf): Promise<StateHarness> {
  const clock = createManualClock();
  const { store } = await openStore(clock);
  return { open: () => open(store), features, durability: "HOST", shared: true, advance: clock.advance };
}

const shared = await lastingHarness();

describe("the suite passes a store that several components share and that outlives them", () => {
  for (const { name, run } of stateConformance(shared)) test(name, run);
});

describe("the suite passes a store whose clock cannot be turned", () => {
  const harness: StateHarness = {
    open: async () => {
      const { store, close } = await openStore(systemClock);
      return componentOf(store, close);
    },
    features,
    durability: "PROCESS",
    shared: false,
  };
  const timed = stateConformance(harness).filter(({ name }) => /^expiry|to live/.test(name));
  for (const { name, run } of timed) test.concurrent(name, run);
});

test("the suite leaves out what belongs to a feature that is not there", () => {
  const names = (wanted: StateHarness["features"]) =>
    stateConformance({ ...shared, features: wanted }).map(({ name }) => name);
  const core = names([]);
  expect(core.filter((name) => /^(transactions|expiry|watch|resume)/.test(name))).toEqual([]);
  expect(core).toContain("concurrency: 64 writers compare-and-set one key and lose nothing");
  expect(names(["WATCH"]).filter((name) => name.startsWith("watch")).length).toBeGreaterThan(5);
  for (const { feature, name } of stateConformance(shared)) {
    if (/^(transactions|expiry|watch|resume)/.test(name)) expect(feature, name).toBeDefined();
  }
});

async function caught(harness: StateHarness, names: readonly string[]): Promise<string[]> {
  const cases = stateConformance(harness).filter(({ name }) => names.includes(name));
  const outcomes = await Promise.allSettled(cases.map(({ run }) => run()));
  return cases.flatMap(({ name }, index) => (outcomes[index]?.status === "rejected" ? [name] : []));
}

describe.concurrent("the suite catches a store that", () => {
  test.each(mutants)("$name", { timeout: 60_000 }, async ({ caught: names, change }: Mutant) => {
    const harness = await lastingHarness((store) => clientOf(store, change));
    const found = await caught(harness, names);
    expect(new Set(found)).toEqual(new Set(names));
  });

  test("forgets everything when it is closed", async () => {
    const names = [
      "lifecycle: a restart keeps everything as it was",
      "request ids: a restart forgets none",
      "resume: after a restart",
    ];
    names.push(
      "lifecycle: closing finishes the writes in flight",
      "lifecycle: components that open the same storage at once all serve it",
    );
    const clock = createManualClock();
    const open = async () => clientOf((await openStore(clock)).store);
    const found = await caught({ open, features, durability: "HOST", shared: true, advance: clock.advance }, names);
    expect(new Set(found)).toEqual(new Set(names));
  });

  test("goes on after it was closed", async () => {
    const names = [
      "lifecycle: closing ends the watches, without an error",
      "lifecycle: after closing every call is refused as COMPONENT_UNAVAILABLE",
    ];
    const harness = await lastingHarness((store) => ({ ...clientOf(store), close: async () => {} }));
    expect(new Set(await caught(harness, names))).toEqual(new Set(names));
  });
});
