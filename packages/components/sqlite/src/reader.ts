import type { DatabaseSync } from "node:sqlite";
import { type Awaitable, ComponentError, type Logger } from "@mecha/component";
import { componentClosed, toComponentError } from "./errors.js";
import { failureOf, isBusy } from "./failure.js";
import { retryWhileBusy } from "./retry.js";

/** Reads, on the caller's thread: with WAL a reader waits for no writer, so an answer costs microseconds. */
export interface Reader {
  readonly db: DatabaseSync;
  /** Runs `action`; at once unless the file is locked, which is rare (another process recovers it after a crash). */
  read<T>(action: () => T): Awaitable<T>;
  /** The same for several statements that must see one snapshot. */
  snapshot<T>(action: () => T): Awaitable<T>;
  /** Refuses what comes after. */
  close(): void;
}

/** Makes a reader over the connection that reads. */
export function createReader(db: DatabaseSync, lockTimeoutMs: number, logger: Logger): Reader {
  const begin = db.prepare("BEGIN");
  const commit = db.prepare("COMMIT");
  let closed = false;

  function fail(error: unknown): never {
    if (error instanceof ComponentError) throw error;
    const failure = failureOf(error);
    if (failure.detail !== undefined) logger.error(failure.message, { error: failure.detail });
    throw toComponentError(failure);
  }

  function retry<T>(action: () => T): T {
    if (closed) throw componentClosed();
    return action();
  }

  function read<T>(action: () => T): Awaitable<T> {
    if (closed) throw componentClosed();
    try {
      return action();
    } catch (error) {
      if (isBusy(error)) return retryWhileBusy(() => retry(action), lockTimeoutMs).catch(fail);
      return fail(error);
    }
  }

  return {
    db,
    read,
    close() {
      closed = true;
    },
    snapshot(action) {
      return read(() => {
        begin.run();
        try {
          return action();
        } finally {
          // Nothing was written; this only lets the snapshot go.
          if (db.isTransaction) commit.run();
        }
      });
    },
  };
}
