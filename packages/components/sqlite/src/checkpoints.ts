import type { DatabaseSync } from "node:sqlite";

/** After about this many bytes the log is copied into the database as soon as nobody waits. */
const idleBytes = 4 * 1024 * 1024;
/** After about this many, at the next batch's cost. */
const busyBytes = 16 * 1024 * 1024;
/** A log of more pages than this is emptied even if other processes have to wait for it meanwhile: 64 MiB. */
const longLogPages = 16_384;
/** How long a quiet moment is. */
const idleMs = 50;
/** What one job costs beside its payload: the pages of a table and its indexes that it changes. */
const overheadBytes = 3 * 4096;

/** Keeps the write-ahead log short, between batches and never within a commit that someone waits for. */
export interface Checkpoints {
  /** To be called after each batch, once its outcomes are sent. */
  wrote(jobs: number, bytes: number): void;
  stop(): void;
}

export function createCheckpoints(db: DatabaseSync): Checkpoints {
  const checkpoint = db.prepare("PRAGMA wal_checkpoint(PASSIVE)");
  // Waits for the write lock no longer than a moment: there is no busy handler.
  const restart = db.prepare("PRAGMA wal_checkpoint(RESTART)");
  let owed = 0;
  let timer: NodeJS.Timeout | undefined;

  function run(): void {
    clearTimeout(timer);
    timer = undefined;
    owed = 0;
    try {
      // The log starts anew only if nobody writes while its end is copied; among busy processes that takes the write lock.
      if (Number(checkpoint.get()?.log) > longLogPages) restart.get();
    } catch {
      // Another process does it, or the disk is full: what was answered is safe in the log, and the next batch tries again.
    }
  }

  return {
    wrote(jobs, bytes) {
      owed += bytes + jobs * overheadBytes;
      if (owed >= busyBytes) run();
      else if (owed >= idleBytes) {
        clearTimeout(timer);
        timer = setTimeout(run, idleMs);
      }
    },
    stop() {
      clearTimeout(timer);
    },
  };
}
