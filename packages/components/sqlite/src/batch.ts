import type { DatabaseSync } from "node:sqlite";
import { type Failure, failureOf, isBusy, lockedFailure, Refusal } from "./failure.js";
import type { Job, JobHandlers, JobName, Jobs, Outcome, ThreadSettings, Transaction } from "./jobs.js";

/**
 * How long the thread sleeps before it asks for the lock again. Shorter than the pause that another process makes between two
 * batches, so that neither starves; the thread is the writer's own, so nobody else waits.
 */
const lockRetryMs = 0.2;
const sleeper = new Int32Array(new SharedArrayBuffer(4));

/**
 * What need not survive a crash of the host: a lease that is forgotten is an event that is delivered again, which any failure may do. A batch of
 * nothing else is committed without an fsync, so that a delivery waits for the disk once less; the next fsync makes it last, too.
 */
const fleeting: ReadonlySet<JobName> = new Set(["pubsub.claim", "pubsub.extend"]);

/** Does a batch of jobs in one transaction, with one fsync; one outcome per job. Blocks its thread. */
export type RunBatch = (jobs: readonly Job[], now: number | undefined) => Outcome[];

export interface BatchOptions {
  /** Throws if the file must not be written any more. */
  readonly guard: () => void;
  readonly lockTimeoutMs: number;
  readonly synchronous: ThreadSettings["synchronous"];
}

/** Makes {@link RunBatch} over the writer's connection. */
export function createBatchRunner(
  db: DatabaseSync,
  handlers: JobHandlers<Jobs>,
  { guard, lockTimeoutMs, synchronous }: BatchOptions,
): RunBatch {
  let current = synchronous;
  const begin = db.prepare("BEGIN IMMEDIATE");
  const commit = db.prepare("COMMIT");
  const rollback = db.prepare("ROLLBACK");
  const readRevision = db.prepare("SELECT value FROM meta WHERE name = 'revision'");
  const writeRevision = db.prepare("UPDATE meta SET value = ? WHERE name = 'revision'");

  function lock(): void {
    const deadline = performance.now() + lockTimeoutMs;
    for (;;) {
      try {
        begin.run();
        return;
      } catch (error) {
        if (!isBusy(error)) throw error;
        if (performance.now() >= deadline) throw new Refusal(lockedFailure(lockTimeoutMs));
      }
      Atomics.wait(sleeper, 0, 0, lockRetryMs);
    }
  }

  /** Sets what the next commit waits for. Not prepared: this pragma acts when it is compiled, and not in a transaction. */
  function syncAs(wanted: ThreadSettings["synchronous"]): void {
    if (wanted !== current) db.exec(`PRAGMA synchronous = ${wanted}`);
    current = wanted;
  }

  function attempt(jobs: readonly Job[], now: number | undefined): Outcome[] {
    syncAs(jobs.every(({ name }) => fleeting.has(name)) ? "normal" : synchronous);
    lock();
    try {
      guard();
      const known = Number(readRevision.get()?.value);
      let revision = known;
      const transaction: Transaction = { now: now ?? Date.now(), nextRevision: () => ++revision };
      const outcomes = jobs.map((job) => perform(job, transaction));
      if (revision !== known) writeRevision.run(revision);
      try {
        commit.run();
      } catch (error) {
        // A full disk leaves no commit record. After any other failure the record may be in the log, and be read from it later.
        if (failureOf(error).reason === "STORAGE_FULL") throw error;
        throw new Refusal(outcomeUnknown(error));
      }
      return outcomes;
    } finally {
      // SQLite has rolled back by itself after some failures.
      if (db.isTransaction) rollback.run();
    }
  }

  function perform(job: Job, transaction: Transaction): Outcome {
    try {
      const handle = handlers[job.name] as (
        body: Job["body"],
        blobs: Job["blobs"],
        transaction: Transaction,
      ) => unknown;
      return { answer: handle(job.body, job.blobs, transaction) };
    } catch (error) {
      // Anything but a refusal may have come after a write, and undoes the batch.
      if (error instanceof Refusal) return { failure: error.failure };
      throw error;
    }
  }

  return function run(jobs, now): Outcome[] {
    try {
      return attempt(jobs, now);
    } catch (error) {
      // One job may be what is too large for the disk, or what meets a damaged page: the others need not fail with it.
      if (jobs.length > 1 && !(error instanceof Refusal)) return jobs.flatMap((job) => run([job], now));
      return jobs.map(() => ({ failure: failureOf(error) }));
    }
  };
}

function outcomeUnknown(error: unknown): Failure {
  const { message, detail } = failureOf(error);
  return {
    reason: "OUTCOME_UNKNOWN",
    message:
      "the commit failed on its way to the disk, so the write may or may not have been done: read before writing again",
    detail: detail ?? message,
  };
}
