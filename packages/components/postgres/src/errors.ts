import { ComponentError } from "@mecha/component";
import { DatabaseError } from "pg";

/** Whether a statement changes anything: decides what its caller is told when the connection breaks under it. */
export type Effect = "read" | "write";

/** A pause that lets a server that is restarting come back, in ms. */
const retryAfterMs = 500;

/** The server's own error code (SQLSTATE), if it was the server that answered. */
export function sqlState(error: unknown): string | undefined {
  return error instanceof DatabaseError ? error.code : undefined;
}

/** Whether the connection cannot be used after this error: it is gone, or leads to a server or session that will not do. */
export function breaksConnection(error: unknown): boolean {
  const state = sqlState(error);
  if (state === undefined) return true;
  // 25006: a standby. 26000 and 0A000: the session lost its prepared statements, or they are out of date.
  return state.startsWith("57P") || state.startsWith("08") || ["25006", "26000", "0A000"].includes(state);
}

/** Whether the statement did nothing, as far as anybody will ever see, and may succeed at once when it is sent again. */
export function isTransient(error: unknown, effect: Effect): boolean {
  const state = sqlState(error);
  if (state === undefined) return effect === "read";
  // Conflicts; a session that was ended; a session that lost its prepared statements.
  return ["40001", "40P01", "57P01", "57P05", "26000", "0A000"].includes(state);
}

/** What a failed statement means to its caller. A server that answers with an error did nothing. */
export function statementError(error: unknown, effect: Effect): unknown {
  if (error instanceof ComponentError) return error;
  const state = sqlState(error);
  if (state === undefined)
    return effect === "read" ? unavailable("the connection to PostgreSQL broke", error) : unknown(error);
  if (state === "53100") {
    return new ComponentError("STORAGE_FULL", "PostgreSQL's disk is full; nothing was written", { cause: error });
  }
  if (state === "XX001" || state === "XX002") {
    return new ComponentError("STORAGE_CORRUPT", "PostgreSQL found its data to be corrupt; its log says which", {
      cause: error,
    });
  }
  if (state === "57014")
    return unavailable("PostgreSQL did not finish in time (statementTimeoutMs) and undid it", error);
  if (state === "25006") return unavailable("the PostgreSQL server is a read-only standby", error);
  if (state === "42501")
    return unavailable("PostgreSQL refused it: the user lacks a right on the schema's tables", error);
  if (state === "42P01" || state === "3F000" || state === "42883") {
    return unavailable("the schema's tables are gone; restart the runtime to create them anew", error);
  }
  // Connection trouble, too few resources, conflicts that outlast the retries, shutdowns.
  if (/^(08|53|40|55|57|58)/.test(state)) return unavailable("PostgreSQL cannot serve this now", error);
  return error;
}

/** The infrastructure is away, and nothing was done. */
export function unavailable(message: string, cause?: unknown, afterMs: number = retryAfterMs): ComponentError {
  return new ComponentError("COMPONENT_UNAVAILABLE", message, { retryAfterMs: Math.ceil(afterMs), cause });
}

/** More callers wait than could be answered in time. */
export function tooMany(waiting: number): ComponentError {
  const message = `${waiting} calls wait for PostgreSQL already; raise \`pool\`, or call less`;
  return new ComponentError("RATE_LIMITED", message, { retryAfterMs });
}

/** A write was sent and no answer came. */
export function unknown(cause: unknown): ComponentError {
  const message = "the connection to PostgreSQL broke before it answered: the write may have been done";
  return new ComponentError("OUTCOME_UNKNOWN", message, { cause });
}

/** Why no connection could be opened, in words that say what to do. `server` names host, port, database and user, never a password. */
export function connectError(
  error: unknown,
  server: { address: string; database: string; user: string },
): ComponentError {
  if (error instanceof ComponentError) return error;
  const { address, database, user } = server;
  return unavailable(describe(), error);

  function describe(): string {
    switch (sqlState(error)) {
      case "28P01":
        return `PostgreSQL at ${address} refused the password of user "${user}"; check the url`;
      case "28000":
        return `PostgreSQL at ${address} refused user "${user}"; check the url, and the server's pg_hba.conf`;
      case "3D000":
        return `PostgreSQL at ${address} has no database "${database}"; create it: CREATE DATABASE ${database}`;
      case "53300":
        return `PostgreSQL at ${address} has no connection left; lower \`pool\` or raise the server's max_connections`;
      case "57P03":
        return `PostgreSQL at ${address} is starting up or shutting down`;
    }
    switch (nodeCode(error)) {
      case "ECONNREFUSED":
        return `connection refused at ${address}; is PostgreSQL running?`;
      case "ENOTFOUND":
      case "EAI_AGAIN":
        return `the name in ${address} cannot be resolved; check the url`;
    }
    const message = error instanceof Error ? error.message : String(error);
    if (/timeout/i.test(message)) return `PostgreSQL at ${address} did not answer within connectTimeoutMs`;
    return `cannot connect to PostgreSQL at ${address}: ${message}`;
  }
}

/** The code of a socket's error; a name that stands for several addresses brings several errors. */
function nodeCode(error: unknown): string | undefined {
  if (error instanceof AggregateError && error.errors.length > 0) return nodeCode(error.errors[0]);
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
