import { ComponentError, type StateStore } from "@mecha/component";
import { createManualClock, startComponent } from "@mecha/component/conformance";
import { memory } from "@mecha/component-memory";
import { expect, test } from "vitest";
import { createRateLimiters } from "./rate-limiters.js";
import { rateLimit } from "./sections/rate-limit.js";

/** Runtimes that share a limit through a store, on a clock that stands still. */
async function startSharing(count: number, limit: Record<string, unknown>) {
  const clock = createManualClock();
  const component = await startComponent(memory, {}, { clock });
  const state = component.blocks.state as StateStore;
  let isAway = false;
  let writes = 0;
  const serve = new Proxy(state, {
    get(target, property) {
      if (property === "write") writes++;
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const use = () => {
    if (isAway) throw new ComponentError("COMPONENT_UNAVAILABLE", "away");
    return { live: { enter: () => () => {} }, serve };
  };
  const warnings: string[] = [];
  const logger = { info() {}, warn: (_fields: unknown, message: string) => warnings.push(message) } as never;
  const section = { value: rateLimit.schema.parse({ store: "store", ...limit }), policy: "p" };
  const skews = Array.from({ length: count }, () => 0);
  const limiters = skews.map((_, index) => {
    const own = { ...clock, now: () => clock.now() + (skews[index] ?? 0) };
    const options = { registry: { use } as never, namespace: "default", clock: own, logger };
    return createRateLimiters(options).of(section, "");
  });
  return {
    clock,
    limiters,
    /** By how much the clock of each is wrong, in ms. */
    skews,
    warnings,
    get writes() {
      return writes;
    },
    setAway: (value: boolean) => {
      isAway = value;
    },
    /** Takes as fast as it goes for so long, each runtime in turn, or the first few of them; how many each got. */
    async drainFor(ms: number, runtimes = count) {
      const got = limiters.map(() => 0);
      for (let time = 0; time < ms; time += 5) {
        for (const [index, limiter] of limiters.slice(0, runtimes).entries()) {
          for (let tries = 0; tries < 10; tries++) {
            if ((await limiter.take()) !== 0) break;
            got[index] = (got[index] ?? 0) + 1;
          }
        }
        clock.advance(5);
      }
      return got;
    },
  };
}

test("runtimes that share a limit get it once between them, and a call costs no write", async () => {
  const sharing = await startSharing(3, { rate: "200/s", burst: 50 });
  const got = await sharing.drainFor(10_000);
  const total = got.reduce((sum, each) => sum + each, 0);
  expect(total).toBeLessThanOrEqual(50 + 2_000);
  expect(total).toBeGreaterThan(1_950);
  expect(sharing.writes).toBeLessThan(total / 2);
});

test("at a rate that is not used up, tokens are fetched by slices of a tenth of a second", async () => {
  const sharing = await startSharing(1, { rate: "1000/s" });
  let refused = 0;
  for (let index = 0; index < 1_000; index++) {
    if ((await sharing.limiters[0]?.take()) !== 0) refused++;
    sharing.clock.advance(2);
  }
  expect(refused).toBe(0);
  expect(sharing.writes).toBeLessThanOrEqual(12);
});

test("while the store is away each runtime has its share, and that is logged once", async () => {
  const sharing = await startSharing(2, { rate: "100/s", burst: 10 });
  await sharing.drainFor(1_000);
  sharing.setAway(true);
  await sharing.drainFor(2_000);
  const got = await sharing.drainFor(10_000);
  for (const each of got) expect(each).toBeGreaterThan(450);
  expect(got.reduce((sum, each) => sum + each, 0)).toBeLessThanOrEqual(1_010);
  expect(sharing.warnings.length).toBe(2);
  expect(sharing.warnings[0]).toContain("as one of 2");
  sharing.setAway(false);
  await sharing.drainFor(2_000);
  const back = await sharing.drainFor(10_000);
  expect(back.reduce((sum, each) => sum + each, 0)).toBeLessThanOrEqual(1_020);
});

const hour = 3_600_000;

test("a clock that is set back holds up nobody: not the bucket, nor the next look at a store that was away", async () => {
  const sharing = await startSharing(2, { rate: "100/s", burst: 10 });
  await sharing.drainFor(1_000);
  sharing.skews.fill(-hour);
  const got = await sharing.drainFor(10_000);
  const total = got.reduce((sum, each) => sum + each, 0);
  expect(total).toBeGreaterThan(950);
  expect(total).toBeLessThanOrEqual(1_010);

  sharing.setAway(true);
  await sharing.drainFor(100);
  sharing.setAway(false);
  sharing.skews.fill(-2 * hour);
  // Alone it would have half of the rate.
  await sharing.drainFor(1_000);
  expect(sharing.warnings.length).toBe(2);
  const [first = 0] = await sharing.drainFor(5_000, 1);
  expect(first).toBeGreaterThan(450);
});

test("runtimes whose clocks are an hour apart get the limit once between them", async () => {
  const sharing = await startSharing(2, { rate: "100/s", burst: 10 });
  sharing.skews[1] = hour;
  const got = await sharing.drainFor(10_000);
  const total = got.reduce((sum, each) => sum + each, 0);
  expect(total).toBeGreaterThan(950);
  // Once, for the hour that the other finds passed since the bucket was made, it is full again.
  expect(total).toBeLessThanOrEqual(10 + 1_010);
});
