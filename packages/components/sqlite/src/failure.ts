import type { Reason } from "@mecha/component";

/** Why something failed, in a form that crosses threads: an Error loses its fields on the way. */
export interface Failure {
  /** Absent: a bug. */
  readonly reason?: Reason;
  readonly message: string;
  readonly metadata?: Record<string, string>;
  readonly retryAfterMs?: number;
  readonly violations?: { field: string; description: string }[];
  /** SQLite's own words, for the log. */
  readonly detail?: string;
}

/** Thrown on either thread for a failure whose words are already chosen. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(failure.message);
    this.failure = failure;
  }
}

/** SQLite's result codes that are told apart; see https://www.sqlite.org/rescode.html. */
export const resultCode = {
  busy: 5,
  locked: 6,
  readonly: 8,
  ioerr: 10,
  corrupt: 11,
  full: 13,
  cantopen: 14,
  protocol: 15,
  notadb: 26,
  /** A row whose primary key is taken. */
  constraintPrimaryKey: 19 | (6 << 8),
  /** Growing the -shm file failed: the disk is full. */
  ioerrShmsize: 10 | (19 << 8),
} as const;

/** The extended result code of an error that SQLite raised; undefined for any other error. */
function extendedCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("errcode" in error)) return undefined;
  return typeof error.errcode === "number" ? error.errcode : undefined;
}

/** Whether another connection holds what this one needs, so that trying again helps. */
export function isBusy(error: unknown): boolean {
  const code = extendedCode(error);
  return code !== undefined && (code & 0xff) === resultCode.busy;
}

/** Whether a row could not be added because its primary key is taken. */
export const isConflict = (error: unknown): boolean => extendedCode(error) === resultCode.constraintPrimaryKey;

/** How long a caller that found the file locked should wait. */
const busyRetryAfterMs = 200;
/** How long a caller should wait for an operator. */
const operatorRetryAfterMs = 5_000;

/** Says that another process held the file for too long. */
export function lockedFailure(lockTimeoutMs: number): Failure {
  return {
    reason: "COMPONENT_UNAVAILABLE",
    message: `the database is locked: another process has held it for more than ${lockTimeoutMs} ms; nothing was done, try again`,
    retryAfterMs: busyRetryAfterMs,
  };
}

/** Turns whatever was thrown into words that its reader can act on. */
export function failureOf(error: unknown): Failure {
  if (error instanceof Refusal) return error.failure;
  const code = extendedCode(error);
  const detail = error instanceof Error ? error.message : String(error);
  if (code === undefined) return { message: detail, detail: (error instanceof Error && error.stack) || detail };
  if (code === resultCode.ioerrShmsize) return fullFailure(detail);
  switch (code & 0xff) {
    case resultCode.full:
      return fullFailure(detail);
    case resultCode.corrupt:
    case resultCode.notadb:
      return {
        reason: "STORAGE_CORRUPT",
        message:
          "the database file is damaged: stop every runtime that uses it, keep a copy, and restore a backup (or try `sqlite3 <file> .recover`)",
        detail,
      };
    case resultCode.busy:
    case resultCode.protocol:
      return {
        reason: "COMPONENT_UNAVAILABLE",
        message: "the database is locked by another process; nothing was done, try again",
        retryAfterMs: busyRetryAfterMs,
        detail,
      };
    case resultCode.readonly:
    case resultCode.cantopen:
    case resultCode.ioerr:
      return {
        reason: "COMPONENT_UNAVAILABLE",
        message:
          "the database file cannot be read or written: check that it and its folder exist, belong to the runtime's user, and that the disk is healthy and its quota not used up; nothing was done",
        retryAfterMs: operatorRetryAfterMs,
        detail,
      };
    default:
      return { message: detail, detail };
  }
}

function fullFailure(detail: string): Failure {
  return {
    reason: "STORAGE_FULL",
    message:
      "the disk that holds the database is full: nothing was written; free some space and try again, no restart is needed",
    retryAfterMs: operatorRetryAfterMs,
    detail,
  };
}
