import { ComponentError } from "@mecha/component";
import { DatabaseError } from "pg";
import { type Effect, statementError } from "../errors.js";

/** What a statement of a caller failed for; it was undone. What was wrong with the statement is for its caller to know, as PostgreSQL says it. */
export function callerError(error: unknown, effect: Effect): unknown {
  if (!(error instanceof DatabaseError) || error.code === undefined) return statementError(error, effect);
  const { code, constraint, message } = error;
  const metadata = { sqlstate: code, ...(constraint !== undefined && { constraint }) };
  if (code === "23505") return new ComponentError("ALREADY_EXISTS", `PostgreSQL: ${message}`, { metadata });
  if (code === "42501") return new ComponentError("TARGET_REFUSED", `PostgreSQL: ${message}`, { metadata });
  if (code === "25006" && /read-only transaction/.test(message)) {
    const advice = "`query` only reads; use `exec`";
    return new ComponentError("BAD_REQUEST", `PostgreSQL: ${message}; ${advice}`, { metadata });
  }
  // Too few values; wrong data, syntax, names, constraints, what a function raises: classes of SQLSTATE.
  if (/^(08P01|0[9ABLP]|2[0-8BDF]|3[89BDF]|4[24]|54|P0)/.test(code)) {
    return new ComponentError("BAD_REQUEST", `PostgreSQL: ${message}`, { metadata });
  }
  return statementError(error, effect);
}
