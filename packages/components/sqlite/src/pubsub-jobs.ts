import { randomBytes } from "node:crypto";
import type { GroupCall, GroupSettings, PubSubEntry, Settlement } from "@mecha/component";
import type { EntryColumns } from "./pubsub-columns.js";

/** An entry whose payload stands elsewhere. */
export type BareEntry = Pick<PubSubEntry, "topic" | "source" | "id" | "orderingKey" | "delayMs"> & {
  readonly ttlMs: number | null;
};

/** A lease as a handle names it. */
export interface LeaseName {
  readonly seq: number;
  readonly token: string;
}

/** What was leased; its payload is read where it is needed. */
export interface Claimed extends LeaseName {
  readonly attempt: number;
}

type BareSettlement<Some> = Some extends Settlement ? Omit<Some, "handle"> & LeaseName : never;

/** What the pubsub block asks of the writer. */
export interface PubSubJobs {
  /** Publishes entries, whose payloads are the blobs; says where the duplicates stand. */
  "pubsub.publish": {
    body: { readonly keyspace: string; readonly entries: EntryColumns };
    answer: number[];
  };
  /** Makes a group, or changes the settings of one that still has `replaces`; says whether it did. */
  "pubsub.open": {
    body: {
      readonly call: GroupCall;
      readonly settings: GroupSettings;
      /** The stored text; null: the group must be new. */
      readonly replaces: string | null;
    };
    answer: boolean;
  };
  /** Forgets a group; whether there was one. */
  "pubsub.delete": { body: { readonly call: GroupCall }; answer: boolean };
  /** Leases what is ready. It looks at a bounded number of events, so an empty answer does not mean that there is none. */
  "pubsub.claim": {
    body: { readonly group: number; readonly maxItems: number; readonly maxBytes: number; readonly leaseMs: number };
    answer: Claimed[];
  };
  /** Settles leases; says of each whether it counted. */
  "pubsub.settle": {
    body: { readonly group: number; readonly settlements: readonly BareSettlement<Settlement>[] };
    answer: boolean[];
  };
  "pubsub.extend": {
    body: { readonly group: number; readonly leases: readonly LeaseName[]; readonly leaseMs: number };
    answer: boolean[];
  };
  /** Takes dead letters out; how many there were. */
  "pubsub.exhume": {
    body: { readonly group: number; readonly ids: readonly number[]; readonly requeue: boolean };
    answer: number;
  };
  /** Removes some of what is older than `retentionMs` and needed by nobody, looking at a bounded number of events after `after`. */
  "pubsub.sweep": {
    body: { readonly after: number; readonly retentionMs: number };
    answer: {
      readonly removed: number;
      /** Where to go on; null at the end of what is old. */
      readonly next: number | null;
    };
  };
}

const format = /^([0-9]{1,15})\.([A-Za-z0-9_-]{22})$/;

/** A token that nobody guesses: 128 bits. */
export const newToken = (): string => randomBytes(16).toString("base64url");

export const toHandle = ({ seq, token }: LeaseName): string => `${seq}.${token}`;

/** Reads a handle; undefined if it is none. */
export function parseHandle(handle: string): LeaseName | undefined {
  const [, seq, token] = format.exec(handle) ?? [];
  return seq === undefined || token === undefined ? undefined : { seq: Number(seq), token };
}

const deadLetterIdDigits = 16;

/** Padded, so that ids sort as they count. */
export const toDeadLetterId = (id: number): string => String(id).padStart(deadLetterIdDigits, "0");

/** Reads the id of a dead letter; undefined if it is none. */
export function parseDeadLetterId(id: string): number | undefined {
  return /^[0-9]{16}$/.test(id) ? Number(id) : undefined;
}
