import { type Component, systemClock } from "@mecha/component";
import { createManualClock, type StateHarness, stateConformance } from "@mecha/component/conformance";
import { describe, expect, test } from "vitest";
import { clientOf, componentOf, expireResumeTokens, type Opened, openStore } from "./stores.js";
import { type Mutant, mutants } from "./wrong/index.js";

// Who watches the suite: every kind of harness passes it, and every kind of wrong store is caught.

const features = ["TRANSACT", "WATCH", "TTL", "OUTBOX"] as const;
const pubsubFeatures = ["ORDERED", "DELAY", "REPLAY", "DEDUP", "TTL"] as const;

/** One that shares a store between the components that are open at once, and keeps it when they are closed. */
async function lastingHarness(open: (opened: Opened) => Component = clientOf): Promise<StateHarness> {
  const clock = createManualClock();
  const opened = await openStore(clock);
  return {
    open: () => open(opened),
    features,
    pubsubFeatures,
    durability: "HOST",
    shared: true,
    advance: clock.advance,
    expireResumeTokens,
  };
}

const shared = await lastingHarness();

describe("the suite passes a store that several components share and that outlives them", () => {
  for (const { name, run } of stateConformance(shared)) test(name, run);
});

describe("the suite passes a store whose clock cannot be turned", () => {
  const harness: StateHarness = {
    open: async () => {
      const opened = await openStore(systemClock);
      return componentOf(opened, opened.close);
    },
    features,
    pubsubFeatures,
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
  expect(core.filter((name) => /^(transactions|expiry|watch|resume|outbox)/.test(name))).toEqual([]);
  expect(core).toContain("concurrency: 64 writers compare-and-set one key and lose nothing");
  expect(names(["WATCH"]).filter((name) => name.startsWith("watch")).length).toBeGreaterThan(5);
  for (const { feature, name } of stateConformance(shared)) {
    if (/^(transactions|expiry|watch|resume|outbox)/.test(name)) expect(feature, name).toBeDefined();
  }
});

/** Stores that are wrong in how they start and stop, which a changed call cannot show. */
const misfits: { name: string; caught: string[]; harness: () => Promise<StateHarness> }[] = [
  {
    name: "forgets everything when it is closed",
    caught: [
      "lifecycle: a restart keeps everything as it was",
      "lifecycle: closing finishes the writes in flight",
      "lifecycle: components that open the same storage at once all serve it",
      "request ids: a restart forgets none",
      "resume: after a restart",
      "outbox: an event stays what it is across a restart",
    ],
    async harness() {
      const clock = createManualClock();
      const open = async () => clientOf(await openStore(clock));
      return { ...(await lastingHarness()), open, advance: clock.advance };
    },
  },
  {
    name: "has another pubsub than it should",
    caught: ["outbox: the pubsub of the same component declares the features that it should"],
    harness: async () => ({ ...(await lastingHarness()), pubsubFeatures: ["ORDERED"] }),
  },
  {
    name: "goes on after it was closed",
    caught: [
      "lifecycle: closing ends the watches, without an error",
      "lifecycle: after closing every call is refused as COMPONENT_UNAVAILABLE",
    ],
    harness: () => lastingHarness((opened) => ({ ...clientOf(opened), close: async () => {} })),
  },
  {
    name: "waits for callers that have left",
    caught: ["callers: one that goes away during its calls disturbs no other"],
    harness: () =>
      lastingHarness((opened) =>
        clientOf(opened, ({ write }) => ({
          write: async (call) => (call.signal === undefined ? write(call) : new Promise(() => {})),
        })),
      ),
  },
  {
    name: "does not notice that a reader left, and waits for it when it is closed",
    caught: ["watch: a reader that leaves its loop releases the watch"],
    harness: () =>
      lastingHarness((opened) => {
        const readers = new Set<Promise<unknown>>();
        const component = clientOf(opened, ({ watch }) => ({
          watch(call) {
            const changes = watch(call)[Symbol.asyncIterator]();
            readers.add(new Promise((resolve) => call.signal.addEventListener("abort", resolve)));
            return { [Symbol.asyncIterator]: () => ({ next: () => changes.next() }) };
          },
        }));
        const close = async () => {
          await Promise.all(readers);
          await component.close();
        };
        return { ...component, close };
      }),
  },
];

const wrong = [
  ...mutants.map(({ name, caught, change }: Mutant) => {
    return { name, caught, harness: () => lastingHarness((opened) => clientOf(opened, change)) };
  }),
  ...misfits,
];

describe.concurrent("the suite catches a store that", () => {
  test.each(wrong)("$name", { timeout: 60_000 }, async ({ caught, harness }) => {
    const bound = { ...(await harness()), deadlineMs: 10_000 };
    const cases = stateConformance(bound).filter(({ name }) => caught.includes(name));
    const outcomes = await Promise.allSettled(cases.map(({ run }) => run()));
    const found = cases.filter((_, index) => outcomes[index]?.status === "rejected").map(({ name }) => name);
    expect(new Set(found)).toEqual(new Set(caught));
  });
});

test("every case catches a store that is wrong", () => {
  const caught = new Set(wrong.flatMap((store) => store.caught));
  const idle = stateConformance(shared).filter(({ name }) => !caught.has(name));
  expect(idle.map(({ name }) => name)).toEqual([]);
});
