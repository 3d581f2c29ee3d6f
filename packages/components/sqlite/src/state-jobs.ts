import type { StateOperation, StateRequestId, StateResult } from "@mecha/component";
import type { BareEntry } from "./pubsub-jobs.js";

/** An operation whose value stands elsewhere. */
export type BareOperation =
  | Exclude<StateOperation, { type: "set" }>
  | Omit<Extract<StateOperation, { type: "set" }>, "value">;

/** An event to publish whose payload stands elsewhere. */
export interface BarePublish {
  readonly keyspace: string;
  readonly entry: BareEntry;
}

/** What the state block asks of the writer. */
export interface StateJobs {
  /** Does all operations or none, and publishes. The blobs are the values of the sets, in their order, then the payloads. */
  "state.write": {
    body: {
      readonly keyspace: string;
      readonly operations: readonly BareOperation[];
      readonly publishes: readonly BarePublish[];
      readonly requestId: StateRequestId | undefined;
    };
    answer: StateResult[];
  };
  /** Removes a bounded number of things whose time is over; says whether there is more. */
  "state.sweep": { body: Record<string, never>; answer: { readonly more: boolean } };
}

/** An opaque name of one write. The time keeps it unique even when a restored backup counts its revisions anew. */
export function etagOf(revision: number, updateTime: number): string {
  return `${revision.toString(36)}-${updateTime.toString(36)}`;
}

/** How long, and for how many of them, deletions are remembered for watches that resume. */
export const deletionLimits = { maxAgeMs: 60 * 60 * 1000, maxCount: 100_000 } as const;
