import type { DatabaseSync } from "node:sqlite";
import { type Awaitable, ComponentError, type Logger } from "@mecha/component";
import { componentClosed, toComponentError } from "./errors.js";
import { failureOf, isBusy } from "./failure.js";
import { retryWhileBusy } from "./retry.js";

/** Who waits for a read. The signal is looked at only if the answer must wait: making one costs more than most reads. */
export interface Caller {
  readonly signal?: AbortSignal;
}

/** Reads, on the caller's thread: with WAL a reader waits for no writer, so an answer costs microseconds. */
export interface Reader {
  readonly db: DatabaseSync;
  /** Runs `action`; at once unless the file is locked, which is rare (another process recovers it after a crash). */
  read<T>(action: () => T, caller?: Caller): Awaitable<T>;
  /** The same for several statements that must see one snapshot. */
  snapshot<T>(action: () => T, caller?: Caller): Awaitable<T>;
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

  async function wait<T>(action: () => T, signal: AbortSignal | undefined): Promise<T> {
    const attempt = () => {
      if (closed) throw componentClosed();
      return action();
    };
    try {
      return await retryWhileBusy(attempt, lockTimeoutMs, signal);
    } catch (error) {
      signal?.throwIfAborted();
      return fail(error);
    }
  }

  function read<T>(action: () => T, caller?: Caller): Awaitable<T> {
    if (closed) throw componentClosed();
    try {
      return action();
    } catch (error) {
      if (isBusy(error)) return wait(action, caller?.signal);
      return fail(error);
    }
  }

  return {
    db,
    read,
    close() {
      closed = true;
    },
    snapshot(action, caller) {
      return read(() => {
        begin.run();
        try {
          return action();
        } finally {
          // Nothing was written; this only lets the snapshot go.
          if (db.isTransaction) commit.run();
        }
      }, caller);
    },
  };
}
