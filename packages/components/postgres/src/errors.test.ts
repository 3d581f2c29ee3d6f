import { ComponentError } from "@mecha/component";
import { DatabaseError } from "pg";
import { describe, expect, test } from "vitest";
import { breaksConnection, connectError, isTransient, statementError } from "./errors.js";

/** What the server answers with this SQLSTATE. */
const answer = (code: string) => Object.assign(new DatabaseError("its words", 0, "error"), { code });
/** What a socket fails with. */
const socketError = (code: string) => Object.assign(new Error("its words"), { code });

describe("a statement that fails", () => {
  test.each([
    ["53100", "STORAGE_FULL"],
    ["XX001", "STORAGE_CORRUPT"],
    ["57014", "COMPONENT_UNAVAILABLE"],
    ["57P01", "COMPONENT_UNAVAILABLE"],
    ["25006", "COMPONENT_UNAVAILABLE"],
    ["40001", "COMPONENT_UNAVAILABLE"],
    ["53200", "COMPONENT_UNAVAILABLE"],
    ["42P01", "COMPONENT_UNAVAILABLE"],
  ])("with SQLSTATE %s did nothing and is %s, read or write", (code, reason) => {
    for (const effect of ["read", "write"] as const) {
      const error = statementError(answer(code), effect);
      expect(error).toBeInstanceOf(ComponentError);
      expect((error as ComponentError).reason).toBe(reason);
      // What the server says of itself is for the log.
      expect((error as ComponentError).message).not.toContain("its words");
    }
  });

  test("because of a mistake of ours stays what it is", () => {
    const error = answer("42601");
    expect(statementError(error, "write")).toBe(error);
  });

  test("without an answer is OUTCOME_UNKNOWN for a write, and may be sent again only as a read", () => {
    const error = socketError("ECONNRESET");
    expect(statementError(error, "write")).toMatchObject({ reason: "OUTCOME_UNKNOWN" });
    expect(statementError(error, "read")).toMatchObject({ reason: "COMPONENT_UNAVAILABLE" });
    expect([isTransient(error, "write"), isTransient(error, "read")]).toEqual([false, true]);
  });

  test.each(["57P01", "25006", "26000", "0A000", "08006"])("with SQLSTATE %s costs its connection", (code) => {
    expect(breaksConnection(answer(code))).toBe(true);
  });

  test.each(["53100", "57014", "40001", "22021"])("with SQLSTATE %s leaves its connection in use", (code) => {
    expect(breaksConnection(answer(code))).toBe(false);
  });
});

test("a name with several addresses that all refuse is told as one", () => {
  const all = new AggregateError([socketError("ECONNREFUSED"), socketError("ECONNREFUSED")]);
  const error = connectError(all, { address: "localhost:5432", database: "db", user: "me" });
  expect(error.message).toBe("connection refused at localhost:5432; is PostgreSQL running?");
});
