import { stateLimits } from "@mecha/component";
import type { Migration } from "../schema.js";

/**
 * The tables of the state block.
 *
 * `state` holds the items and what is left of deleted ones (`gone`: "d" deleted, "x" expired), so it is the log of changes as well, with one
 * entry per key: `xid` is the transaction that wrote a row last, and a watch asks for the rows whose transactions it has not seen.
 * Keys are compared byte by byte: COLLATE "C".
 */
export const tables: Migration = {
  description: "state",
  sql: (schema) => `
    CREATE TABLE ${schema}.state (
      keyspace text COLLATE "C" NOT NULL,
      key text COLLATE "C" NOT NULL,
      value bytea NOT NULL,
      content_type text NOT NULL,
      etag uuid NOT NULL,
      updated timestamptz NOT NULL,
      expires timestamptz,
      gone "char",
      xid xid8 NOT NULL,
      PRIMARY KEY (keyspace, key)
    ) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
    CREATE INDEX state_changes ON ${schema}.state (keyspace, xid, key);
    CREATE INDEX state_expiring ON ${schema}.state (expires) WHERE expires IS NOT NULL AND gone IS NULL;
    CREATE INDEX state_gone ON ${schema}.state (updated) WHERE gone IS NOT NULL;

    CREATE TABLE ${schema}.state_request (
      keyspace text COLLATE "C" NOT NULL,
      id text COLLATE "C" NOT NULL,
      fingerprint text NOT NULL,
      results text[] NOT NULL,
      created timestamptz NOT NULL,
      PRIMARY KEY (keyspace, id)
    );
    CREATE INDEX state_request_created ON ${schema}.state_request (created);

    CREATE TABLE ${schema}.state_log (
      singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
      epoch uuid NOT NULL,
      origin text NOT NULL,
      forgotten timestamptz
    );
    COMMENT ON COLUMN ${schema}.state_log.epoch IS 'part of every resume token: another one means that the data was restored';
    COMMENT ON COLUMN ${schema}.state_log.forgotten IS 'a snapshot taken before may lack deletions that are forgotten now';

    DO $$ BEGIN
      ALTER TABLE ${schema}.state ALTER COLUMN value SET COMPRESSION lz4;
    EXCEPTION WHEN feature_not_supported THEN
      NULL; -- a server built without lz4 compresses with pglz
    END $$;

    ${writeFunction(schema)}`,
};

/** What tells a table from its restored copy: the server, its history since it was last set back, and the table itself. */
const identity = (schema: string) => `(
  SELECT concat_ws('/', s.system_identifier, c.timeline_id, '${schema}.state_log'::regclass::oid)
    FROM pg_control_system() s, pg_control_checkpoint() c)`;

/**
 * Transaction ids belong to a server and a history. Data that was restored may bear ids from the future, and resume tokens may speak of
 * transactions that never were: the ids are set to now, and the tokens end.
 */
export const adopt = (schema: string): string => `
  INSERT INTO ${schema}.state_log (epoch, origin) SELECT gen_random_uuid(), ${identity(schema)} ON CONFLICT DO NOTHING;
  UPDATE ${schema}.state SET xid = pg_current_xact_id()
    WHERE xid > pg_current_xact_id() AND (SELECT origin FROM ${schema}.state_log) <> ${identity(schema)};
  UPDATE ${schema}.state_log SET epoch = gen_random_uuid(), origin = ${identity(schema)} WHERE origin <> ${identity(schema)};`;

/** The first key of the advisory locks that writers take; the second is the bucket of a key. */
export const lockClass = (schema: string): string => `hashtext('mecha/state/${schema}')`;

/** Until when a deleted key is remembered, for watches that resume. */
export const remembersDeletions = "interval '1 hour'";

/** A deletion may become visible so long after the time that it bears: while its commit waits for a standby, say. */
export const longestCommit = "interval '5 minutes'";

/**
 * Does any number of operations, or none. Within one statement there is one snapshot, taken before any lock is held; in a function each
 * statement has its own, so what is read here was read under the locks. A negative lock is a shared one.
 *
 * `outcome` is "done", "repeated" (the first answer to this request id), "reused" (the id with another request), or the condition that did
 * not hold, for the operation with the number `failing`.
 */
const writeFunction = (schema: string) => `
  CREATE FUNCTION ${schema}.state_write(
    in_keyspace text, in_locks integer[], in_kinds text[], in_keys text[], in_values bytea[], in_content_types text[], in_ttls bigint[],
    in_conditions text[], in_etags uuid[], in_request text, in_fingerprint text,
    OUT outcome text, OUT failing integer, OUT results text[]
  ) LANGUAGE plpgsql AS $$
  DECLARE
    bucket integer;
    instant timestamptz;
    is_same boolean;
  BEGIN
    FOREACH bucket IN ARRAY in_locks LOOP
      IF bucket < 0 THEN
        PERFORM pg_advisory_xact_lock_shared(${lockClass(schema)}, -bucket);
      ELSE
        PERFORM pg_advisory_xact_lock(${lockClass(schema)}, bucket);
      END IF;
    END LOOP;
    instant := date_trunc('milliseconds', clock_timestamp());

    IF in_request IS NOT NULL THEN
      SELECT r.fingerprint = in_fingerprint, r.results INTO is_same, results FROM ${schema}.state_request r
        WHERE r.keyspace = in_keyspace AND r.id = in_request AND r.created > instant - interval '${stateLimits.requestIdTtlMs} ms';
      IF FOUND THEN
        outcome := CASE WHEN is_same THEN 'repeated' ELSE 'reused' END;
        RETURN;
      END IF;
    END IF;

    IF in_conditions IS NOT NULL THEN
      SELECT o.condition, o.number INTO outcome, failing
        FROM unnest(in_keys, in_conditions, in_etags) WITH ORDINALITY AS o(key, condition, etag, number)
        LEFT JOIN ${schema}.state s
          ON s.keyspace = in_keyspace AND s.key = o.key AND s.gone IS NULL AND (s.expires IS NULL OR s.expires > instant)
        WHERE CASE o.condition
          WHEN 'absent' THEN s.key IS NOT NULL
          WHEN 'exists' THEN s.key IS NULL
          WHEN 'etag' THEN s.etag IS DISTINCT FROM o.etag
        END
        ORDER BY o.number LIMIT 1;
      IF FOUND THEN
        RETURN;
      END IF;
    END IF;

    results := ARRAY(
      SELECT CASE o.kind
        WHEN 'set' THEN gen_random_uuid()::text
        WHEN 'delete' THEN EXISTS (
          SELECT FROM ${schema}.state s
            WHERE s.keyspace = in_keyspace AND s.key = o.key AND s.gone IS NULL AND (s.expires IS NULL OR s.expires > instant)
        )::text
        ELSE ''
      END FROM unnest(in_kinds, in_keys) WITH ORDINALITY AS o(kind, key, number) ORDER BY o.number
    );

    IF 'delete' = ANY (in_kinds) THEN
      UPDATE ${schema}.state s SET gone = 'd', value = '', expires = NULL, updated = instant, xid = pg_current_xact_id()
        FROM unnest(in_kinds, in_keys, results) AS o(kind, key, result)
        WHERE o.kind = 'delete' AND o.result = 'true' AND s.keyspace = in_keyspace AND s.key = o.key;
    END IF;

    IF 'set' = ANY (in_kinds) THEN
      INSERT INTO ${schema}.state AS s (keyspace, key, value, content_type, etag, updated, expires, gone, xid)
        SELECT in_keyspace, o.key, o.value, o.content_type, o.result::uuid, instant, instant + o.ttl * interval '1 ms', NULL,
            pg_current_xact_id()
          FROM unnest(in_kinds, in_keys, in_values, in_content_types, in_ttls, results) AS o(kind, key, value, content_type, ttl, result)
          WHERE o.kind = 'set'
        ON CONFLICT (keyspace, key) DO UPDATE SET value = excluded.value, content_type = excluded.content_type, etag = excluded.etag,
          updated = excluded.updated, expires = excluded.expires, gone = NULL, xid = excluded.xid;
    END IF;

    IF in_request IS NOT NULL THEN
      INSERT INTO ${schema}.state_request AS r (keyspace, id, fingerprint, results, created)
        VALUES (in_keyspace, in_request, in_fingerprint, results, instant)
        ON CONFLICT (keyspace, id) DO UPDATE
          SET fingerprint = excluded.fingerprint, results = excluded.results, created = excluded.created;
    END IF;
    outcome := 'done';
  END $$;`;
