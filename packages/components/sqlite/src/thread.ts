// The writer's thread: everything that may wait for a disk or for a lock happens here, and the event loop of the runtime stays free.
// It is bundled to text and started from it (../worker-source.ts), so it must not import what is heavy.
import { parentPort, workerData } from "node:worker_threads";
import { createBatchRunner } from "./batch.js";
import { createCheckpoints } from "./checkpoints.js";
import { failureOf } from "./failure.js";
import type { FromThread, JobHandlers, Jobs, ThreadSettings, ToThread } from "./jobs.js";
import { createGuard, openForWriting } from "./open.js";
import { createStateHandlers } from "./state-writes.js";

const settings: ThreadSettings = workerData;
const say = (message: FromThread) => parentPort?.postMessage(message);

function open() {
  const db = openForWriting(settings);
  const handlers: JobHandlers<Jobs> = { ...createStateHandlers(db) };
  const guard = createGuard(db, settings.path, settings.identity);
  const runBatch = createBatchRunner(db, handlers, { guard, lockTimeoutMs: settings.lockTimeoutMs });
  return { db, runBatch, checkpoints: createCheckpoints(db) };
}

let opened: ReturnType<typeof open> | undefined;

function runBatch({ jobs, now, bytes }: Extract<ToThread, { type: "batch" }>): void {
  try {
    opened ??= open();
  } catch (error) {
    say({ outcomes: jobs.map(() => ({ failure: failureOf(error) })) });
    return;
  }
  say({ outcomes: opened.runBatch(jobs, now) });
  opened.checkpoints.wrote(jobs.length, bytes);
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
