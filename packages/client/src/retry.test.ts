import { describe, expect, it } from "vitest";
import { MechaError } from "./errors.js";
import { backoffMs, resolveRetryOptions, sleep } from "./retry.js";

describe("backoffMs", () => {
  const policy = resolveRetryOptions({ initialDelayMs: 100, maxDelayMs: 1000 });

  it("doubles up to the longest delay, and half of it is chance", () => {
    const delays = [1, 2, 3, 4, 5, 50].map((attempt) => [
      backoffMs(policy, attempt, undefined, () => 0),
      backoffMs(policy, attempt, undefined, () => 1),
    ]);
    expect(delays).toEqual([
      [50, 100],
      [100, 200],
      [200, 400],
      [400, 800],
      [500, 1000],
      [500, 1000],
    ]);
  });

  it("is never shorter than what the runtime asks for, even past the longest delay", () => {
    const error = new MechaError("x", { code: "unavailable", reason: "COMPONENT_UNAVAILABLE", retryAfter: 5000 });
    expect(backoffMs(policy, 1, error, () => 0)).toBe(5000);
    expect(backoffMs(policy, 1, error, () => 1)).toBe(5050);
  });
});

it("refuses to make no attempt at all", () => {
  expect(() => resolveRetryOptions({ maxAttempts: 0 })).toThrow(expect.objectContaining({ reason: "BAD_REQUEST" }));
});

describe("sleep", () => {
  it("ends when the signal aborts, with what its owner meant", async () => {
    const controller = new AbortController();
    const sleeping = sleep(60_000, controller.signal);
    controller.abort(new Error("the user went away"));
    await expect(sleeping).rejects.toMatchObject({ code: "canceled", cause: controller.signal.reason });
    await expect(sleep(60_000, AbortSignal.abort())).rejects.toMatchObject({ code: "canceled" });
    await expect(sleep(60_000, AbortSignal.timeout(1))).rejects.toMatchObject({ code: "deadline_exceeded" });
  });
});
