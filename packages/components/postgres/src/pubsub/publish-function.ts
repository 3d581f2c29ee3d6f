import { pubsubLimits } from "@mecha/component";
import { publishLockClass, sequenceMask } from "./locks.js";

/**
 * Publishes events, in order, and returns the numbers of those that were duplicates (from 1; null if none was). `in_digests` are all different.
 *
 * Sequence numbers are given out in another order than commits become visible in, and a reader must not go past an event that commits
 * later. So a publish tells that it is under way: it holds a lock named by a number that was given out before any of its own
 * (see {@link claimFunctions}).
 */
export const publishFunction = (schema: string): string => `
  CREATE FUNCTION ${schema}.pubsub_publish(
    in_topics integer[], in_digests uuid[], in_keys text[], in_delays bigint[], in_ttls bigint[], in_payloads bytea[]
  ) RETURNS integer[] LANGUAGE plpgsql AS $$
  DECLARE
    instant timestamptz;
    fresh bigint;
    duplicates integer[];
  BEGIN
    PERFORM pg_advisory_xact_lock_shared(${publishLockClass(schema)}, (last_value & ${sequenceMask})::integer)
      FROM ${schema}.pubsub_seq;
    instant := date_trunc('milliseconds', clock_timestamp());

    -- In one order, so that two that publish the same events do not wait for each other in a circle.
    INSERT INTO ${schema}.pubsub_seen AS s (digest, expires)
      SELECT o.digest, instant + interval '${pubsubLimits.dedupMs} ms' FROM unnest(in_digests) AS o(digest) ORDER BY o.digest
      ON CONFLICT (digest) DO UPDATE SET expires = excluded.expires WHERE s.expires <= instant;
    GET DIAGNOSTICS fresh = ROW_COUNT;

    IF fresh < cardinality(in_digests) THEN
      -- What was written just now bears this transaction's id.
      duplicates := ARRAY(
        SELECT o.number::integer FROM unnest(in_digests) WITH ORDINALITY AS o(digest, number)
          WHERE (
            SELECT s.digest FROM ${schema}.pubsub_seen s WHERE s.digest = o.digest AND s.xmin = pg_current_xact_id()::xid
          ) IS NULL
      );
    END IF;

    INSERT INTO ${schema}.pubsub_event (topic, published, due, expires, ordering_key, payload)
      SELECT o.topic, instant, CASE WHEN o.delay > 0 THEN instant + o.delay * interval '1 ms' END,
          instant + o.ttl * interval '1 ms', o.key, o.payload
        FROM unnest(in_topics, in_keys, in_delays, in_ttls, in_payloads) WITH ORDINALITY AS o(topic, key, delay, ttl, payload, number)
        WHERE duplicates IS NULL OR o.number <> ALL (duplicates)
        ORDER BY o.number;
    RETURN duplicates;
  END $$;`;
