// The writer's thread: everything that may wait for a disk or for a lock happens here, and the event loop of the runtime stays free.
// It is bundled to text and started from it (../worker-source.ts), so it must not import what is heavy.
import { parentPort, workerData } from "node:worker_threads";
import { createBatchRunner } from "./batch.js";
import { createCheckpoints } from "./checkpoints.js";
import { createDiscoveryHandlers } from "./discovery/handlers.js";
import { failureOf } from "./failure.js";
import type { FromThread, JobHandlers, Jobs, Outcome, ThreadSettings, ToThread } from "./jobs.js";
import { createGuard, openForWriting } from "./open.js";
import { unpackJobs } from "./packing.js";
import { createPubSubHandlers } from "./pubsub-handlers.js";
import { createStateHandlers } from "./state-writes.js";

const settings: ThreadSettings = workerData;
const answer = (outcomes: readonly Outcome[]) => parentPort?.postMessage(JSON.stringify(outcomes) satisfies FromThread);

function open() {
  const db = openForWriting(settings);
  const handlers: JobHandlers<Jobs> = {
    ...createStateHandlers(db),
    ...createPubSubHandlers(db),
    ...createDiscoveryHandlers(db),
  };
  const guard = createGuard(db, settings.path, settings.identity);
  const runBatch = createBatchRunner(db, handlers, { guard, ...settings });
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
