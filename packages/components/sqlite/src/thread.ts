// The writer's thread: everything that may wait for a disk or for a lock happens here, and the event loop of the runtime stays free.
// It is bundled to text and started from it (../worker-source.ts), so it must not import what is heavy.
import { parentPort, workerData } from "node:worker_threads";
import { createBatchRunner } from "./batch.js";
import { createCheckpoints } from "./checkpoints.js";
import { failureOf } from "./failure.js";
import { createHandlers } from "./handlers.js";
import type { FromThread, Outcome, ThreadSettings, ToThread } from "./jobs.js";
import { createGuard, openForWriting } from "./open.js";
import { sizeOf, unpackJobs } from "./packing.js";

const settings: ThreadSettings = workerData;

function answer(outcomes: readonly Outcome[], spare: ArrayBuffer): void {
  parentPort?.postMessage({ outcomes: JSON.stringify(outcomes), spare } satisfies FromThread, [spare]);
}

function open() {
  const db = openForWriting(settings);
  const guard = createGuard(db, settings.path, settings.identity);
  const runBatch = createBatchRunner(db, createHandlers(db), { guard, ...settings });
  return { db, runBatch, checkpoints: createCheckpoints(db) };
}

let opened: ReturnType<typeof open> | undefined;

function runBatch({ jobs: packed, now }: Extract<ToThread, { type: "batch" }>): void {
  const jobs = unpackJobs(packed);
  try {
    opened ??= open();
  } catch (error) {
    const failure = failureOf(error);
    const outcomes = jobs.map(() => ({ failure }));
    answer(outcomes, packed.bytes);
    return;
  }
  const size = jobs.reduce((sum, { blobs }) => sum + sizeOf(blobs), 0);
  // SQLite has copied what it was given.
  answer(opened.runBatch(jobs, now), packed.bytes);
  opened.checkpoints.wrote(jobs.length, size);
}

parentPort?.on("message", (message: ToThread) => {
  switch (message.type) {
    case "batch":
      runBatch(message);
      return;
    case "close":
      opened?.checkpoints.stop();
      opened?.db.close();
      // The thread ends when nothing is left to listen to.
      parentPort?.close();
      return;
  }
});
