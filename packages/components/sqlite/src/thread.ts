// The writer's thread: everything that may wait for a disk or for a lock happens here, and the event loop of the runtime stays free.
// It is bundled to text and started from it (../worker-source.ts), so it must not import what is heavy.
import { parentPort, workerData } from "node:worker_threads";
import { createBatchRunner } from "./batch.js";
import { createCheckpoints } from "./checkpoints.js";
import { failureOf } from "./failure.js";
import { createHandlers } from "./handlers.js";
import type { FromThread, Outcome, ThreadSettings, ToThread } from "./jobs.js";
import { createGuard, openForWriting } from "./open.js";
import { unpackJobs } from "./packing.js";

const settings: ThreadSettings = workerData;
const answer = (outcomes: readonly Outcome[]) => parentPort?.postMessage(JSON.stringify(outcomes) satisfies FromThread);

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
    answer(jobs.map(() => ({ failure })));
    return;
  }
  answer(opened.runBatch(jobs, now));
  opened.checkpoints.wrote(jobs.length, packed.bytes.byteLength);
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
