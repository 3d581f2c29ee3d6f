import { groupLockClass } from "./locks.js";

/** How many deliveries behind one that is done are looked at for one that has not expired. */
const advanceLimit = 256;

/**
 * `pubsub_advance`: the deliveries ahead in these keys of a group are done, so the next one of each goes ahead; those before it that expired are
 * dropped. If there are many of these, the last one looked at goes ahead, and what claims it goes on from there.
 *
 * `pubsub_settle` settles leases, and returns the numbers of those that counted. It holds the locks of the groups, so that no claim puts an event
 * behind one that is done just now.
 *
 * `pubsub_exhume` takes dead letters up to an id out, oldest first (only these ids, if any are given), and returns how many there were.
 *
 * `pubsub_delete_group` forgets a group, and returns whether there was one.
 */
export const settleFunctions = (schema: string): string => `
  CREATE FUNCTION ${schema}.pubsub_advance(in_group integer, in_keys text[], in_instant timestamptz) RETURNS void LANGUAGE plpgsql AS $$
  BEGIN
    WITH next AS MATERIALIZED (
      SELECT k.key, n.seq FROM unnest(in_keys) AS k(key) CROSS JOIN LATERAL (
        SELECT w.seq FROM (
          SELECT d.seq, (d.expires <= in_instant) IS TRUE AS is_over FROM ${schema}.pubsub_delivery d
            WHERE d.group_id = in_group AND d.ordering_key = k.key AND d.dead_id IS NULL ORDER BY d.seq LIMIT ${advanceLimit}
        ) w ORDER BY w.is_over, CASE WHEN w.is_over THEN -w.seq ELSE w.seq END LIMIT 1
      ) n
    ), dropped AS (
      DELETE FROM ${schema}.pubsub_delivery d USING next n
        WHERE d.group_id = in_group AND d.ordering_key = n.key AND d.dead_id IS NULL AND d.seq < n.seq
    )
    UPDATE ${schema}.pubsub_delivery d SET due = coalesce(
        (SELECT e.due FROM ${schema}.pubsub_event e
          WHERE e.topic = (SELECT g.topic FROM ${schema}.pubsub_group g WHERE g.id = in_group) AND e.seq = d.seq),
        in_instant)
      FROM next n WHERE d.group_id = in_group AND d.seq = n.seq AND d.due IS NULL;
  END $$;

  CREATE FUNCTION ${schema}.pubsub_settle(
    in_groups integer[], in_seqs bigint[], in_tokens uuid[], in_kinds text[], in_afters bigint[], in_errors text[]
  ) RETURNS integer[] LANGUAGE plpgsql AS $$
  DECLARE
    instant timestamptz;
    counted integer[];
    done_groups integer[];
    done_keys text[];
    done record;
  BEGIN
    PERFORM pg_advisory_xact_lock(${groupLockClass(schema)}, o.id) FROM (SELECT DISTINCT unnest(in_groups) AS id ORDER BY id) o;
    instant := date_trunc('milliseconds', clock_timestamp());

    WITH asked AS (
      SELECT DISTINCT ON (id, seq, token) * FROM unnest(in_groups, in_seqs, in_tokens, in_kinds, in_afters, in_errors)
          WITH ORDINALITY AS o(id, seq, token, kind, after, error, number)
        ORDER BY id, seq, token, number
    ), held AS MATERIALIZED (
      SELECT asked.*, d.ordering_key FROM asked
        JOIN ${schema}.pubsub_delivery d ON d.group_id = asked.id AND d.seq = asked.seq AND d.token = asked.token
          AND (d.due > instant) IS TRUE -- in a form that no index serves: the primary key is the one to go by
        FOR UPDATE OF d
    ), acked AS (
      DELETE FROM ${schema}.pubsub_delivery d USING held h WHERE h.kind = 'ack' AND d.group_id = h.id AND d.seq = h.seq
    ), changed AS (
      UPDATE ${schema}.pubsub_delivery d SET token = NULL,
          due = CASE h.kind WHEN 'retry' THEN instant + h.after * interval '1 ms' WHEN 'release' THEN 'epoch' END,
          attempts = d.attempts - (h.kind = 'release')::integer,
          last_error = CASE WHEN h.kind = 'release' THEN d.last_error ELSE h.error END,
          dead_id = CASE WHEN h.kind = 'dead' THEN nextval('${schema}.pubsub_dead_seq') END,
          dead_time = CASE WHEN h.kind = 'dead' THEN instant END
        FROM held h WHERE h.kind <> 'ack' AND d.group_id = h.id AND d.seq = h.seq
    )
    SELECT array_agg(number), array_agg(id) FILTER (WHERE ordering_key IS NOT NULL AND kind IN ('ack', 'dead')),
        array_agg(ordering_key) FILTER (WHERE ordering_key IS NOT NULL AND kind IN ('ack', 'dead'))
      INTO counted, done_groups, done_keys FROM held;

    FOR done IN SELECT o.id, array_agg(o.key) AS keys FROM unnest(done_groups, done_keys) AS o(id, key) GROUP BY o.id LOOP
      PERFORM ${schema}.pubsub_advance(done.id, done.keys, instant);
    END LOOP;
    RETURN counted;
  END $$;

  CREATE FUNCTION ${schema}.pubsub_exhume(
    in_group integer, in_ids bigint[], in_upto bigint, in_limit integer, in_requeue boolean
  ) RETURNS integer LANGUAGE plpgsql AS $$
  DECLARE
    found integer;
  BEGIN
    PERFORM pg_advisory_xact_lock(${groupLockClass(schema)}, in_group);
    IF in_ids IS NULL THEN
      in_ids := ARRAY(
        SELECT d.dead_id FROM ${schema}.pubsub_delivery d
          WHERE d.group_id = in_group AND d.dead_id IS NOT NULL AND d.dead_id <= in_upto ORDER BY d.dead_id LIMIT in_limit
      );
    END IF;
    IF in_requeue THEN
      -- Its delay is over, and its time to live does not count any more: somebody decided that it is wanted.
      WITH letters AS MATERIALIZED (
        SELECT d.seq, d.ordering_key IS NOT NULL AND (
            row_number() OVER (PARTITION BY d.ordering_key ORDER BY d.seq) > 1
            OR (
              SELECT o.seq FROM ${schema}.pubsub_delivery o
                WHERE o.group_id = in_group AND o.ordering_key = d.ordering_key AND o.dead_id IS NULL LIMIT 1
            ) IS NOT NULL
          ) AS is_behind
          FROM (SELECT DISTINCT unnest(in_ids) AS id) o JOIN ${schema}.pubsub_delivery d ON d.group_id = in_group AND d.dead_id = o.id
      )
      UPDATE ${schema}.pubsub_delivery d SET due = CASE WHEN NOT l.is_behind THEN 'epoch'::timestamptz END, attempts = 0, expires = NULL,
          last_error = '', dead_id = NULL, dead_time = NULL
        FROM letters l WHERE d.group_id = in_group AND d.seq = l.seq;
    ELSE
      DELETE FROM ${schema}.pubsub_delivery d USING unnest(in_ids) AS o(id) WHERE d.group_id = in_group AND d.dead_id = o.id;
    END IF;
    GET DIAGNOSTICS found = ROW_COUNT;
    RETURN found;
  END $$;

  CREATE FUNCTION ${schema}.pubsub_delete_group(in_group integer) RETURNS boolean LANGUAGE plpgsql AS $$
  DECLARE
    is_gone boolean;
  BEGIN
    -- Whoever claims or settles meanwhile is done before, or finds no group any more.
    PERFORM pg_advisory_xact_lock(${groupLockClass(schema)}, in_group);
    DELETE FROM ${schema}.pubsub_group g WHERE g.id = in_group;
    is_gone := FOUND;
    DELETE FROM ${schema}.pubsub_delivery d WHERE d.group_id = in_group;
    RETURN is_gone;
  END $$;`;
