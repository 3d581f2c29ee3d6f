/** What a state store can do beyond the core; see `mecha.state.v1.Feature`. */
export type StateFeature = "TRANSACT" | "WATCH" | "TTL" | "OUTBOX";

/** The limits of the state block, the same for every store (contracts: `mecha.state.v1`). Bytes and counts. */
export const stateLimits = {
  /** A key in UTF-8, at least 1. */
  maxKeyBytes: 512,
  maxValueBytes: 4 * 1024 * 1024,
  maxContentTypeBytes: 256,
  maxRequestIdBytes: 128,
  /** Of one transaction, events to publish included. */
  maxOperations: 128,
  /** Keys, values and events of one transaction together. */
  maxTransactionBytes: 8 * 1024 * 1024,
  maxGetManyKeys: 1000,
  maxGetManyBytes: 16 * 1024 * 1024,
  maxPageSize: 1000,
  defaultPageSize: 100,
  /** Values of one page together; a page holds at least one item. */
  maxPageBytes: 4 * 1024 * 1024,
  minTtlMs: 1,
  maxTtlMs: 10 * 365 * 24 * 60 * 60 * 1000,
  /** How long a request id is remembered. */
  requestIdTtlMs: 10 * 60 * 1000,
} as const;
