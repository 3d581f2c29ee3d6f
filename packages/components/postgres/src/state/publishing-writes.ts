import type { StatePublish } from "@mecha/component";
import type { Value } from "../connection.js";
import type { Migration } from "../schema.js";

/**
 * The pubsub block's part of a write that publishes: the parameters of `pubsub_publish`, and what to call when they are committed. Rejects
 * with what is wrong with the first event that cannot be published.
 */
export type EncodePublishes = (
  publishes: readonly StatePublish[],
) => Promise<{ readonly values: readonly Value[]; committed(): void }>;

/**
 * `state_write_and_publish` does what `state_write` does, and if that did anything, publishes. Last, since a publish that is under way keeps
 * readers from what comes after it: nothing is waited for from there on but the commit.
 */
export const publishingWrites: Migration = {
  description: "outbox",
  sql: (schema) => `
    CREATE FUNCTION ${schema}.state_write_and_publish(
      in_keyspace text, in_locks integer[], in_kinds text[], in_keys text[], in_values bytea[], in_content_types text[], in_ttls bigint[],
      in_conditions text[], in_etags uuid[], in_request text, in_fingerprint text,
      in_topics integer[], in_digests uuid[], in_ordering_keys text[], in_delays bigint[], in_event_ttls bigint[], in_payloads bytea[],
      OUT outcome text, OUT failing integer, OUT results text[]
    ) LANGUAGE plpgsql AS $$
    BEGIN
      SELECT w.outcome, w.failing, w.results INTO outcome, failing, results FROM ${schema}.state_write(
        in_keyspace, in_locks, in_kinds, in_keys, in_values, in_content_types, in_ttls, in_conditions, in_etags, in_request, in_fingerprint
      ) w;
      IF outcome = 'done' THEN
        PERFORM ${schema}.pubsub_publish(in_topics, in_digests, in_ordering_keys, in_delays, in_event_ttls, in_payloads);
      END IF;
    END $$;`,
};
