import type { DatabaseSync } from "node:sqlite";
import type { DiscoveryJobs } from "./discovery/jobs.js";
import type { Failure } from "./failure.js";
import type { PackedJobs } from "./packing.js";
import type { PubSubJobs } from "./pubsub-jobs.js";
import type { StateJobs } from "./state-jobs.js";

/** Everything the writer can be asked to do: a block adds its jobs here, and their handlers in `handlers.ts`. */
export interface Jobs extends StateJobs, PubSubJobs, DiscoveryJobs {}

export type JobName = keyof Jobs;

/** One thing to do. The body crosses threads as JSON; bytes go beside it, as blobs. */
export type Job = {
  [Name in JobName]: {
    readonly name: Name;
    readonly body: Jobs[Name]["body"];
    readonly blobs: readonly Uint8Array[];
  };
}[JobName];

/** What a handler works in: the transaction of the whole batch. */
export interface Transaction {
  /** Ms since the Unix epoch, by the component's clock. */
  readonly now: number;
  /** A number larger than every one before it in this file, also after a deletion and a restart. */
  nextRevision(): number;
}

/**
 * Does one job. A handler refuses before its first write or not at all: jobs of one batch share a transaction, and what was refused is
 * not undone.
 */
export type JobHandlers<Some> = {
  [Name in keyof Some]: Some[Name] extends { body: infer Body; answer: infer Answer }
    ? (body: Body, blobs: readonly Uint8Array[], transaction: Transaction) => Answer
    : never;
};

/** Makes a block's handlers over the writer's connection. */
export type CreateJobHandlers<Some> = (db: DatabaseSync) => JobHandlers<Some>;

/** How one job ended. */
export type Outcome = { readonly answer: unknown } | { readonly failure: Failure };

/** What the writer's thread is started with. */
export interface ThreadSettings {
  readonly path: string;
  readonly synchronous: "full" | "normal";
  readonly lockTimeoutMs: number;
  /** Which file it is; see `identityOf`. */
  readonly identity: string | undefined;
}

/** What the writer's thread is told. */
export type ToThread =
  | {
      readonly type: "batch";
      /** Absent: the machine's clock, read once the transaction has begun. */
      readonly now: number | undefined;
      readonly jobs: PackedJobs;
    }
  | { readonly type: "close" };

/** What the writer's thread answers a batch with. */
export interface FromThread {
  /** `Outcome[]` as JSON, one per job. */
  readonly outcomes: string;
  /** The batch's bytes, transferred back. */
  readonly spare: ArrayBuffer;
}
