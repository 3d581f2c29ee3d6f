import { inspect } from "node:util";
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "@mecha/api/rpc";
import { describe, expect, it } from "vitest";
import { MechaError } from "./errors.js";

const info = (reason: string, metadata = {}) => ({
  desc: ErrorInfoSchema,
  value: { domain: "mecha.dev", reason, metadata },
});
const systemError = (code: string, syscall?: string) => Object.assign(new Error(`${code}!`), { code, syscall });

describe("MechaError.from", () => {
  it("takes code, reason, metadata, retry delay and violations from what the runtime sent", () => {
    const cause = new ConnectError("the store is away", Code.Unavailable, undefined, [
      info("COMPONENT_UNAVAILABLE", { component: "orders-db" }),
      { desc: RetryInfoSchema, value: { retryDelay: { seconds: 1n, nanos: 500_000_001 } } },
      { desc: BadRequestSchema, value: { fieldViolations: [{ field: "key", description: "is empty" }] } },
    ]);
    const error = MechaError.from(cause);
    expect(error).toMatchObject({
      name: "MechaError",
      message: "the store is away",
      code: "unavailable",
      reason: "COMPONENT_UNAVAILABLE",
      metadata: { component: "orders-db" },
      retryAfter: 1501,
      violations: [{ field: "key", description: "is empty" }],
      cause,
    });
  });

  it.each([
    [Code.Canceled, "canceled", "CANCELED"],
    [Code.DeadlineExceeded, "deadline_exceeded", "DEADLINE_EXCEEDED"],
    [Code.FailedPrecondition, "failed_precondition", "FAILED_PRECONDITION"],
    [Code.Internal, "internal", "INTERNAL"],
    [99 as Code, "unknown", "UNKNOWN"],
  ])("names code %s and gives it a reason where the runtime sent none", (connectCode, code, reason) => {
    expect(MechaError.from(new ConnectError("x", connectCode))).toMatchObject({ code, reason, retryAfter: undefined });
  });

  it.each([
    [
      "a refused connection",
      new ConnectError("x", Code.Unavailable, undefined, undefined, systemError("ECONNREFUSED")),
    ],
    ["a lost connection", new ConnectError("x", Code.Aborted, undefined, undefined, systemError("ECONNRESET"))],
    ["a missing socket", new ConnectError("x", Code.Internal, undefined, undefined, systemError("ENOENT", "connect"))],
    [
      "a fetch that failed",
      new ConnectError("x", Code.Unknown, undefined, undefined, new TypeError("Failed to fetch")),
    ],
    ["a proxy without a runtime", new ConnectError("x", Code.Unavailable)],
  ])("calls %s what it is: the runtime is unavailable", (_name, cause) => {
    expect(MechaError.from(cause)).toMatchObject({ code: "unavailable", reason: "RUNTIME_UNAVAILABLE", cause });
  });

  it("keeps what is no error of a call as the cause", () => {
    const cause = new RangeError("oops");
    expect(MechaError.from(cause)).toMatchObject({ code: "unknown", message: "oops", cause });
    expect(MechaError.from("text")).toMatchObject({ code: "unknown", message: "text", cause: "text" });
    expect(MechaError.from(new DOMException("stop", "AbortError"))).toMatchObject({ code: "canceled" });
    expect(MechaError.from(new DOMException("late", "TimeoutError"))).toMatchObject({ code: "deadline_exceeded" });
  });

  it("leaves a MechaError as it is, one of another copy of the package too", () => {
    const error = new MechaError("x", { code: "aborted", reason: "ETAG_MISMATCH" });
    expect(MechaError.from(error)).toBe(error);
    const foreign = Object.assign(new Error("x"), {
      name: "MechaError",
      code: "aborted",
      reason: "R",
      metadata: {},
      violations: [],
    });
    expect(foreign).toBeInstanceOf(MechaError);
    expect(new ConnectError("x")).not.toBeInstanceOf(MechaError);
  });

  it("shows its code and reason where it is printed", () => {
    expect(inspect(new MechaError("stale", { code: "aborted", reason: "ETAG_MISMATCH" }))).toMatch(
      /MechaError: stale[\s\S]*code: 'aborted'[\s\S]*reason: 'ETAG_MISMATCH'/,
    );
  });
});
