import { describe, expect, it } from "vitest";
import { createRestarts, type RestartOptions } from "./restart.js";

const options: RestartOptions = { policy: "always", minBackoffMs: 500, maxBackoffMs: 4_000, resetAfterMs: 10_000 };
const crash = { failed: true, ranMs: 10 };

describe("restarts", () => {
  it("follow the policy", () => {
    const restarted = (policy: RestartOptions["policy"], failed: boolean) =>
      createRestarts({ ...options, policy }).next({ failed, ranMs: 0 }) !== undefined;
    expect([restarted("never", true), restarted("never", false)]).toEqual([false, false]);
    expect([restarted("on-failure", true), restarted("on-failure", false)]).toEqual([true, false]);
    expect([restarted("always", true), restarted("always", false)]).toEqual([true, true]);
  });

  it("wait twice as long each time, up to the longest wait", () => {
    const restarts = createRestarts(options, () => 0.5);
    const waits = Array.from({ length: 6 }, () => restarts.next(crash));
    expect(waits.map((wait) => wait?.afterMs)).toEqual([500, 1_000, 2_000, 4_000, 4_000, 4_000]);
    expect(waits.map((wait) => wait?.count)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it("wait for ever the longest wait, however often it failed", () => {
    const restarts = createRestarts(options, () => 0.5);
    for (let count = 1; count < 2_000; count++) restarts.next(crash);
    expect(restarts.next(crash)).toEqual({ afterMs: 4_000, count: 2_000 });
  });

  it("are spread by a fifth to either side, and never beyond the longest wait", () => {
    expect(createRestarts(options, () => 0).next(crash)?.afterMs).toBeCloseTo(400);
    expect(createRestarts(options, () => 1).next(crash)?.afterMs).toBeCloseTo(600);
    expect(createRestarts({ ...options, minBackoffMs: 4_000 }, () => 1).next(crash)?.afterMs).toBe(4_000);
  });

  it("begin anew once the app has run for a while, and when it is changed", () => {
    const restarts = createRestarts(options, () => 0.5);
    restarts.next(crash);
    restarts.next(crash);
    expect(restarts.next({ failed: true, ranMs: 10_000 })).toEqual({ afterMs: 500, count: 1 });
    restarts.next(crash);
    restarts.reset();
    expect(restarts.next(crash)).toEqual({ afterMs: 500, count: 1 });
  });
});
