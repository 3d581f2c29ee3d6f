/** What a pubsub can do beyond the core; see `mecha.pubsub.v1.Feature`. */
export type PubSubFeature = "ORDERED" | "DELAY" | "REPLAY" | "DEDUP" | "TTL";

/** The limits of the pubsub block, the same for every component (contracts: `mecha.pubsub.v1`). */
export const pubsubLimits = {
  /** Topics and groups, in characters of [A-Za-z0-9._-]. */
  maxNameLength: 128,
  maxOrderingKeyBytes: 128,
  /** An event with all it carries, in bytes, unless the component reports another limit. */
  maxEventBytes: 1024 * 1024,
  maxEntries: 1000,
  maxPublishBytes: 8 * 1024 * 1024,
  maxDelayMs: 30 * 24 * 60 * 60 * 1000,
  /** How long (topic, source, id) is remembered by DEDUP. */
  dedupMs: 10 * 60 * 1000,
  maxPageBytes: 4 * 1024 * 1024,
} as const;
