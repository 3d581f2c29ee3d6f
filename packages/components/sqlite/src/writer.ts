import { Worker } from "node:worker_threads";
import { type Clock, ComponentError, type Logger, systemClock } from "@mecha/component";
import { componentClosed, toComponentError } from "./errors.js";
import { type Failure, failureOf } from "./failure.js";
import type { FromThread, Job, JobName, Jobs, Outcome, ThreadSettings, ToThread } from "./jobs.js";
import { type PackedJobs, packJobs, sizeOf } from "./packing.js";
import source from "./thread.js?source";

/** At most this many jobs, and about this many bytes, share a transaction: how long another process may have to wait. */
const maxBatchJobs = 1024;
const maxBatchBytes = 16 * 1024 * 1024;
/** At most this many jobs and bytes wait; more are refused. */
const maxQueuedJobs = 16_384;
const maxQueuedBytes = 64 * 1024 * 1024;
/** A buffer of a batch is kept for the next ones if it is not larger. */
const maxSpareBytes = 2 * 1024 * 1024;

/** How a job is submitted. */
export interface Submission {
  /** Bytes that go with its body. They are copied when its batch is. */
  readonly blobs?: readonly Uint8Array[];
  /** Takes the job back while it waits for its batch; afterwards only stops waiting for its outcome. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * The one writer of a connection. Jobs of all blocks that arrive while a transaction is on its way to the disk go into the next one
 * together and share its fsync.
 */
export interface Writer {
  /** Answers when the job is as durable as configured. */
  submit<Name extends JobName>(
    name: Name,
    body: Jobs[Name]["body"],
    submission?: Submission,
  ): Promise<Jobs[Name]["answer"]>;
  /** Finishes what was submitted, then stops. */
  close(): Promise<void>;
}

/** A job and whoever waits for it. */
interface Pending {
  readonly job: Job;
  readonly bytes: number;
  /** The thread has it, or the caller does not want it any more. */
  status: "queued" | "sent" | "left";
  settle(outcome: Outcome): void;
}

export interface WriterOptions {
  readonly settings: ThreadSettings;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called after each batch. */
  readonly onBatch: () => void;
}

/** Makes the writer; its thread starts with the first job, so that a runtime which never writes does not pay for one. */
export function createWriter({ settings, clock, logger, onBatch }: WriterOptions): Writer {
  let queue: Pending[] = [];
  let queuedBytes = 0;
  let inFlight: Pending[] | undefined;
  let flushing = false;
  let closing = false;
  let thread: Worker | undefined;
  /** Goes back and forth with the batches; the thread has it while one is in flight. */
  let spare: ArrayBuffer | undefined;
  let onIdle: (() => void) | undefined;

  function startThread(): Worker {
    const worker = new Worker(source, { eval: true, name: "mecha-sqlite", workerData: settings, execArgv: [] });
    let cause: unknown;
    worker.on("message", (answer: FromThread) => {
      if (answer.spare.byteLength <= maxSpareBytes) spare = answer.spare;
      settle(JSON.parse(answer.outcomes));
    });
    worker.on("error", (error) => {
      cause = error;
    });
    worker.on("exit", () => {
      if (thread === worker) thread = undefined;
      if (inFlight !== undefined) abandon(inFlight, cause);
    });
    return worker;
  }

  /** The thread died. The next job starts another. */
  function abandon(jobs: Pending[], cause: unknown): void {
    inFlight = undefined;
    const failure: Failure = {
      reason: "OUTCOME_UNKNOWN",
      message: "the writer stopped, so the write may or may not have been done: read before writing again",
      detail: String(cause),
    };
    logger.error("the writer's thread stopped unexpectedly", { error: failure.detail });
    for (const pending of jobs) pending.settle({ failure });
    afterBatch();
  }

  function settle(outcomes: readonly Outcome[]): void {
    const jobs = inFlight ?? [];
    inFlight = undefined;
    for (const [index, pending] of jobs.entries()) {
      const outcome = outcomes[index] ?? { failure: { message: "the writer's thread left a job without an outcome" } };
      if ("failure" in outcome && outcome.failure.detail !== undefined) {
        logger.error(outcome.failure.message, { error: outcome.failure.detail });
      }
      pending.settle(outcome);
    }
    onBatch();
    afterBatch();
  }

  function afterBatch(): void {
    if (queue.length > 0 || closing) scheduleFlush();
    else thread?.unref();
  }

  /** In the next turn of the event loop, so that everything that arrived in this one shares a batch. */
  function scheduleFlush(): void {
    if (flushing || inFlight !== undefined) return;
    flushing = true;
    setImmediate(flush);
  }

  function flush(): void {
    flushing = false;
    const batch: Pending[] = [];
    let taken = 0;
    let bytes = 0;
    for (const pending of queue) {
      if (batch.length >= maxBatchJobs || bytes >= maxBatchBytes) break;
      taken += 1;
      queuedBytes -= pending.bytes;
      if (pending.status === "left") continue;
      pending.status = "sent";
      bytes += pending.bytes;
      batch.push(pending);
    }
    queue = queue.slice(taken);
    if (batch.length === 0) {
      onIdle?.();
      return;
    }
    inFlight = batch;
    thread ??= startThread();
    thread.ref();
    const now = clock === systemClock ? undefined : clock.now();
    let jobs: PackedJobs;
    try {
      const packed = batch.map(({ job }) => job);
      jobs = packJobs(packed, spare);
    } catch (error) {
      // A value whose buffer was taken away meanwhile: its caller's bug, but nobody may be left without an answer.
      const failure = failureOf(error);
      settle(batch.map(() => ({ failure })));
      return;
    }
    spare = undefined;
    thread.postMessage({ type: "batch", now, jobs } satisfies ToThread, [jobs.bytes]);
  }

  return {
    submit(name, body, { blobs = [], signal } = {}) {
      const bytes = sizeOf(blobs);
      if (closing) return Promise.reject(componentClosed());
      if (queue.length >= maxQueuedJobs || queuedBytes + bytes > maxQueuedBytes) {
        const message = "too many writes wait for the disk; nothing was done, try again more slowly";
        return Promise.reject(new ComponentError("RATE_LIMITED", message, { retryAfterMs: 100 }));
      }
      if (signal?.aborted) return Promise.reject(signal.reason);
      queuedBytes += bytes;
      return new Promise((resolve, reject) => {
        const onAbort = () => {
          const { status } = pending;
          pending.status = "left";
          reject(status === "queued" ? signal?.reason : leftInFlight());
        };
        const pending: Pending = {
          job: { name, body, blobs } as Job,
          bytes,
          status: "queued",
          settle(outcome) {
            signal?.removeEventListener("abort", onAbort);
            if ("answer" in outcome) resolve(outcome.answer as never);
            else reject(toComponentError(outcome.failure));
          },
        };
        signal?.addEventListener("abort", onAbort, { once: true });
        queue.push(pending);
        scheduleFlush();
      });
    },

    async close() {
      closing = true;
      await new Promise<void>((resolve) => {
        onIdle = resolve;
        scheduleFlush();
      });
      await stopThread(thread);
    },
  };
}

function leftInFlight(): ComponentError {
  const message = "the caller left while the write was on its way to the disk, so it may or may not be done";
  return new ComponentError("OUTCOME_UNKNOWN", message);
}

async function stopThread(thread: Worker | undefined): Promise<void> {
  if (thread === undefined) return;
  const stopped = new Promise<void>((resolve) => thread.once("exit", () => resolve()));
  thread.ref();
  thread.postMessage({ type: "close" } satisfies ToThread);
  await stopped;
}
