import { groupLockClass, publishLockClass, sequenceMask } from "./locks.js";

/** How many pages a claim looks at for something to lease: few enough that nobody waits long behind it. */
const pageLimit = 4;

/** How large a page is, in events, if the first one of as many as were asked for held nothing to lease: what is passed over costs little. */
const widePage = 256;

/**
 * Payloads up to so many bytes together come with the claim, the others are read after it: its locks are held until the answer is on its way, and
 * a consumer that hangs takes no more than its socket holds.
 */
const inlineBytes = 128 * 1024;

/**
 * `pubsub_horizon` says up to which sequence number everything that will ever be visible is visible to the next statement. What is in
 * flight took its numbers after the one that its lock bears, so numbers up to the oldest lock are safe. The order counts: first the last
 * number that was given out, then the locks, then (by the caller) the events. A publish that is missed here took its lock after that, and its
 * numbers too; or it has let its lock go, so it is visible.
 *
 * `pubsub_claim` leases what is ready: what comes back, or else what the group has not looked at yet. It looks at a bounded number of
 * events, so that no row does not mean that there is none. It is not waited for until it is on disk: a crash of the server that loses it
 * ends the leases, and no more. What is asked of single rows is asked for a value: EXISTS may be answered by hashing a whole table.
 */
export const claimFunctions = (schema: string): string => `
  CREATE FUNCTION ${schema}.pubsub_horizon() RETURNS bigint LANGUAGE plpgsql AS $$
  DECLARE
    head bigint;
    lag bigint;
  BEGIN
    SELECT last_value INTO head FROM ${schema}.pubsub_seq;
    SELECT max(behind) INTO lag FROM (
      SELECT (head - objid::bigint) & ${sequenceMask} AS behind FROM pg_locks
        WHERE locktype = 'advisory' AND objsubid = 2 AND classid = (${publishLockClass(schema)}::bigint & 4294967295)::oid
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    ) in_flight WHERE behind <= ${sequenceMask} / 2; -- what is more began after the head was read
    RETURN head - coalesce(lag, 0);
  END $$;

  CREATE FUNCTION ${schema}.pubsub_claim(
    in_group integer, in_token uuid, in_items integer, in_bytes bigint, in_lease_ms bigint
  ) RETURNS TABLE (out_seq bigint, out_attempt integer, out_key text, out_payload bytea) LANGUAGE plpgsql AS $$
  DECLARE
    own ${schema}.pubsub_group%ROWTYPE;
    instant timestamptz;
    lease_end timestamptz;
    ended_keys text[];
    at bigint;
    safe bigint;
    is_more boolean;
  BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM pg_advisory_xact_lock(${groupLockClass(schema)}, in_group);
    SELECT * INTO own FROM ${schema}.pubsub_group g WHERE g.id = in_group;
    IF NOT FOUND THEN
      RETURN;
    END IF;
    instant := date_trunc('milliseconds', clock_timestamp());
    lease_end := instant + in_lease_ms * interval '1 ms';

    FOR round IN 1..${pageLimit} LOOP
      EXIT WHEN NOT EXISTS (SELECT FROM ${schema}.pubsub_delivery d WHERE d.group_id = in_group AND d.due <= instant);
      -- What expired is dropped first, and may let others of its key come.
      WITH page AS MATERIALIZED (
        SELECT d.seq, d.expires FROM ${schema}.pubsub_delivery d
          WHERE d.group_id = in_group AND d.due <= instant ORDER BY d.due, d.seq LIMIT greatest(in_items, ${widePage})
      ), ended AS (
        DELETE FROM ${schema}.pubsub_delivery d USING page p
          WHERE d.group_id = in_group AND d.seq = p.seq AND (
            p.expires <= instant OR (SELECT e.seq FROM ${schema}.pubsub_event e WHERE e.topic = own.topic AND e.seq = p.seq) IS NULL
          ) RETURNING d.ordering_key
      ) SELECT array_agg(ordering_key) FILTER (WHERE ordering_key IS NOT NULL) INTO ended_keys FROM ended;
      IF ended_keys IS NOT NULL THEN
        PERFORM ${schema}.pubsub_advance(in_group, ended_keys, instant);
      END IF;

      RETURN QUERY
        WITH page AS MATERIALIZED (
          SELECT d.seq, d.due FROM ${schema}.pubsub_delivery d
            WHERE d.group_id = in_group AND d.due <= instant AND (d.expires <= instant) IS NOT TRUE
            ORDER BY d.due, d.seq LIMIT in_items FOR UPDATE SKIP LOCKED
        ), summed AS MATERIALIZED (
          SELECT p.seq, e.ordering_key, e.payload, sum(octet_length(e.payload)) OVER ready AS total, row_number() OVER ready AS number
            FROM page p JOIN ${schema}.pubsub_event e ON e.topic = own.topic AND e.seq = p.seq WINDOW ready AS (ORDER BY p.due, p.seq)
        )
        UPDATE ${schema}.pubsub_delivery d SET due = lease_end, token = in_token, attempts = d.attempts + 1
          FROM summed s WHERE (s.total <= in_bytes OR s.number = 1) AND d.group_id = in_group AND d.seq = s.seq
          RETURNING s.seq, d.attempts, s.ordering_key, CASE WHEN s.total <= ${inlineBytes} THEN s.payload END;
      IF FOUND THEN
        RETURN;
      END IF;
    END LOOP;

    IF NOT EXISTS (SELECT FROM ${schema}.pubsub_event e WHERE e.topic = own.topic AND e.seq > own.cursor) THEN
      RETURN;
    END IF;
    at := own.cursor;
    safe := ${schema}.pubsub_horizon();
    FOR round IN 1..${pageLimit} LOOP
      RETURN QUERY
        WITH page AS MATERIALIZED (
          SELECT e.seq, e.due, e.expires, e.ordering_key, e.payload, CASE WHEN own.ordered AND e.ordering_key <> '' THEN e.ordering_key END AS key,
              (e.expires <= instant OR e.published < own.since) IS TRUE AS is_over
            FROM ${schema}.pubsub_event e WHERE e.topic = own.topic AND e.seq > at AND e.seq <= safe
            ORDER BY e.seq LIMIT CASE WHEN round = 1 THEN in_items ELSE greatest(in_items, ${widePage}) END
        ), placed AS (
          -- Of a key, one goes ahead and the others are behind it.
          SELECT *, key IS NOT NULL AND (
              row_number() OVER (PARTITION BY key, is_over ORDER BY seq) > 1
              OR (
                SELECT d.seq FROM ${schema}.pubsub_delivery d
                  WHERE d.group_id = in_group AND d.ordering_key = key AND d.dead_id IS NULL LIMIT 1
              ) IS NOT NULL
            ) AS is_behind FROM page
        ), ready AS (
          SELECT *, NOT is_over AND NOT is_behind AND (due IS NULL OR due <= instant) AS is_ready FROM placed
        ), summed AS MATERIALIZED (
          SELECT *, sum(octet_length(payload)) FILTER (WHERE is_ready) OVER up_to AS total, count(*) FILTER (WHERE is_ready) OVER up_to AS number
            FROM ready WINDOW up_to AS (ORDER BY seq)
        ), fitting AS MATERIALIZED (
          SELECT * FROM summed WHERE seq < coalesce(
            (SELECT min(s.seq) FROM summed s WHERE s.is_ready AND (s.number > in_items OR (s.total > in_bytes AND s.number > 1))),
            9223372036854775807)
        ), added AS (
          INSERT INTO ${schema}.pubsub_delivery (group_id, seq, due, expires, token, attempts, ordering_key)
            SELECT in_group, seq, CASE WHEN is_ready THEN lease_end WHEN NOT is_behind THEN due END, expires,
                CASE WHEN is_ready THEN in_token END, is_ready::integer, key
              FROM fitting WHERE NOT is_over
        ), moved AS (
          UPDATE ${schema}.pubsub_group g SET cursor = f.last FROM (SELECT max(seq) AS last FROM fitting) f WHERE g.id = in_group AND f.last IS NOT NULL
        )
        SELECT seq, 1, ordering_key, CASE WHEN total <= ${inlineBytes} THEN payload END FROM fitting WHERE is_ready;
      EXIT WHEN FOUND;
      SELECT g.cursor, g.cursor > at INTO at, is_more FROM ${schema}.pubsub_group g WHERE g.id = in_group;
      EXIT WHEN NOT is_more;
    END LOOP;
  END $$;`;
