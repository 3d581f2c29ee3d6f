// Brings a file to the layouts that it is given, at the moment that it is told; one of several at once.
import { DatabaseSync } from "node:sqlite";
import { parentPort, workerData } from "node:worker_threads";
import { isBusy } from "../src/failure.js";
import { migrate } from "../src/schema.js";

const { path, steps }: { path: string; steps: string[] } = workerData;
const db = new DatabaseSync(path, { timeout: 0 });

parentPort?.once("message", () => {
  for (;;) {
    try {
      migrate(db, steps);
      break;
    } catch (error) {
      if (!isBusy(error)) throw error;
    }
  }
  db.close();
});
parentPort?.postMessage("ready");
