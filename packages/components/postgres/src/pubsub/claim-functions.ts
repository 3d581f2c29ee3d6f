import { groupLockClass, publishLockClass, sequenceMask } from "./locks.js";

/** How many events one claim looks at: few enough that nobody waits long behind it. */
const scanLimit = 512;

/** Payloads up to so many bytes together come with the claim; a reader that hangs never keeps a claim's locks, since so much is always taken off the server's hands. */
const inlineBytes = 64 * 1024;

/**
 * `pubsub_horizon` says up to which sequence number everything that will ever be visible is visible to the next statement. What is in
 * flight took its numbers after the one that its lock bears, so numbers up to the oldest lock are safe. The order counts: first the last
 * number that was given out, then the locks, then (by the caller) the events. A publish that is missed here took its lock after that, and its
 * numbers too; or it has let its lock go, so it is visible.
 *
 * `pubsub_claim` leases what is ready: first what comes back, then what the group has not looked at yet. It looks at a bounded number
 * of events, so that no row does not mean that there is none. It is not waited for until it is on disk: a crash of the server that loses it
 * ends the leases, and no more.
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
    room integer := in_items;
    bytes_left bigint := in_bytes;
    scanned integer := 0;
    page record;
    at bigint;
    safe bigint;
    asked integer;
    taken bigint[] := '{}';
    tries integer[] := '{}';
  BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM pg_advisory_xact_lock(${groupLockClass(schema)}, in_group);
    SELECT * INTO own FROM ${schema}.pubsub_group g WHERE g.id = in_group;
    IF NOT FOUND THEN
      RETURN;
    END IF;
    instant := date_trunc('milliseconds', clock_timestamp());
    lease_end := instant + in_lease_ms * interval '1 ms';

    WHILE room > 0 AND scanned < ${scanLimit}
      AND EXISTS (SELECT FROM ${schema}.pubsub_delivery d WHERE d.group_id = in_group AND d.due <= instant)
    LOOP
      WITH due AS MATERIALIZED (
        SELECT d.seq, d.due, d.attempts, d.expires, d.ordering_key FROM ${schema}.pubsub_delivery d
          WHERE d.group_id = in_group AND d.due <= instant ORDER BY d.due, d.seq LIMIT room FOR UPDATE SKIP LOCKED
      ), sized AS (
        SELECT due.*, octet_length(e.payload) AS size, (e.seq IS NULL OR due.expires <= instant) IS TRUE AS is_over
          FROM due LEFT JOIN ${schema}.pubsub_event e ON e.topic = own.topic AND e.seq = due.seq
      ), summed AS (
        SELECT *, sum(size) FILTER (WHERE NOT is_over) OVER ready AS total, count(*) FILTER (WHERE NOT is_over) OVER ready AS number
          FROM sized WINDOW ready AS (ORDER BY due, seq)
      ), fitting AS MATERIALIZED (
        SELECT *, NOT is_over AND (total <= bytes_left OR number + cardinality(taken) = 1) AS is_taken FROM summed
      ), leased AS (
        UPDATE ${schema}.pubsub_delivery d SET due = lease_end, token = in_token, attempts = d.attempts + 1
          FROM fitting f WHERE f.is_taken AND d.group_id = in_group AND d.seq = f.seq
      ), dropped AS (
        DELETE FROM ${schema}.pubsub_delivery d USING fitting f WHERE f.is_over AND d.group_id = in_group AND d.seq = f.seq
      )
      SELECT count(*) AS looked_at, count(*) FILTER (WHERE is_over) AS ended,
          array_agg(seq ORDER BY due, seq) FILTER (WHERE is_taken) AS seqs,
          array_agg(fitting.attempts + 1 ORDER BY due, seq) FILTER (WHERE is_taken) AS tries,
          coalesce(sum(size) FILTER (WHERE is_taken), 0) AS size,
          array_agg(ordering_key) FILTER (WHERE is_over AND ordering_key IS NOT NULL) AS keys
        INTO page FROM fitting;
      taken := taken || coalesce(page.seqs, '{}');
      tries := tries || coalesce(page.tries, '{}');
      bytes_left := bytes_left - page.size;
      room := in_items - cardinality(taken);
      scanned := scanned + page.looked_at;
      PERFORM ${schema}.pubsub_advance(in_group, page.keys, instant) WHERE page.keys IS NOT NULL;
      -- Only what was dropped lets others come; what did not fit, or is in another's hands, ends it.
      EXIT WHEN page.ended = 0;
    END LOOP;

    at := own.cursor;
    IF room > 0 AND bytes_left > 0
      AND EXISTS (SELECT FROM ${schema}.pubsub_event e WHERE e.topic = own.topic AND e.seq > at)
    THEN
      safe := ${schema}.pubsub_horizon();
      WHILE room > 0 AND scanned < ${scanLimit} LOOP
        asked := room;
        WITH unseen AS MATERIALIZED (
          SELECT e.seq, e.due, e.expires, octet_length(e.payload) AS size,
              CASE WHEN own.ordered AND e.ordering_key <> '' THEN e.ordering_key END AS key,
              (e.expires <= instant OR e.published < own.since) IS TRUE AS is_over
            FROM ${schema}.pubsub_event e WHERE e.topic = own.topic AND e.seq > at AND e.seq <= safe ORDER BY e.seq LIMIT asked
        ), placed AS (
          -- Of a key, one goes ahead and the others are behind it.
          SELECT *, key IS NOT NULL AND (
              row_number() OVER (PARTITION BY key, is_over ORDER BY seq) > 1
              OR EXISTS (
                SELECT FROM ${schema}.pubsub_delivery d WHERE d.group_id = in_group AND d.ordering_key = key AND d.dead_id IS NULL
              )
            ) AS is_behind FROM unseen
        ), ready AS (
          SELECT *, NOT is_over AND NOT is_behind AND (due IS NULL OR due <= instant) AS is_ready FROM placed
        ), summed AS (
          SELECT *, sum(size) FILTER (WHERE is_ready) OVER up_to AS total, count(*) FILTER (WHERE is_ready) OVER up_to AS number
            FROM ready WINDOW up_to AS (ORDER BY seq)
        ), fitting AS MATERIALIZED (
          SELECT * FROM summed
            WHERE seq < coalesce(
              (SELECT min(s.seq) FROM summed s WHERE s.is_ready AND s.total > bytes_left AND s.number + cardinality(taken) > 1),
              9223372036854775807)
        ), added AS (
          INSERT INTO ${schema}.pubsub_delivery (group_id, seq, due, expires, token, attempts, ordering_key)
            SELECT in_group, seq, CASE WHEN is_ready THEN lease_end WHEN NOT is_behind THEN due END, expires,
                CASE WHEN is_ready THEN in_token END, is_ready::integer, key
              FROM fitting WHERE NOT is_over
        )
        SELECT (SELECT count(*) FROM unseen) AS looked_at, max(seq) AS last, array_agg(seq ORDER BY seq) FILTER (WHERE is_ready) AS seqs,
            array_agg(1) FILTER (WHERE is_ready) AS tries, coalesce(sum(size) FILTER (WHERE is_ready), 0) AS size, count(*) AS placed
          INTO page FROM fitting;
        EXIT WHEN page.placed = 0;
        taken := taken || coalesce(page.seqs, '{}');
        tries := tries || coalesce(page.tries, '{}');
        bytes_left := bytes_left - page.size;
        room := in_items - cardinality(taken);
        scanned := scanned + page.looked_at;
        at := page.last;
        EXIT WHEN page.placed < page.looked_at OR page.looked_at < asked;
      END LOOP;
      UPDATE ${schema}.pubsub_group g SET cursor = at WHERE g.id = in_group AND g.cursor <> at;
    END IF;

    IF cardinality(taken) > 0 THEN
      RETURN QUERY
        SELECT c.seq, c.attempt, e.ordering_key,
            CASE WHEN sum(octet_length(e.payload)) OVER (ORDER BY c.number) <= ${inlineBytes} THEN e.payload END
          FROM unnest(taken, tries) WITH ORDINALITY AS c(seq, attempt, number)
          JOIN ${schema}.pubsub_event e ON e.topic = own.topic AND e.seq = c.seq
          ORDER BY c.number;
    END IF;
  END $$;`;
