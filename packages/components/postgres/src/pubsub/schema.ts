import type { Migration } from "../schema.js";
import { claimFunctions } from "./claim-functions.js";
import { publishFunction } from "./publish-function.js";
import { settleFunctions } from "./settle-functions.js";

/**
 * The tables of the pubsub block.
 *
 * `pubsub_event` is a log: an event is written once, whatever the number of groups. A group has looked at all events of its topic up to its
 * `cursor`; of those that it has not finished there is a row in `pubsub_delivery`: leased (`token`, until `due`), to come again (at `due`), held
 * back by its ordering key (neither), or given up (`dead_id`). Names are compared byte by byte: COLLATE "C".
 */
export const tables: Migration = {
  description: "pubsub",
  sql: (schema) => `
    CREATE TABLE ${schema}.pubsub_topic (
      id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      keyspace text COLLATE "C" NOT NULL,
      name text COLLATE "C" NOT NULL,
      UNIQUE (keyspace, name)
    );

    CREATE SEQUENCE ${schema}.pubsub_seq;
    -- From now on its last value is one that was given out, which what is in flight is told by.
    SELECT nextval('${schema}.pubsub_seq');
    CREATE SEQUENCE ${schema}.pubsub_dead_seq;

    CREATE TABLE ${schema}.pubsub_event (
      topic integer NOT NULL,
      seq bigint NOT NULL DEFAULT nextval('${schema}.pubsub_seq'),
      published timestamptz NOT NULL,
      due timestamptz,
      expires timestamptz,
      ordering_key text COLLATE "C" NOT NULL,
      payload bytea NOT NULL,
      PRIMARY KEY (topic, seq)
    ) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.05);

    CREATE TABLE ${schema}.pubsub_seen (
      digest uuid PRIMARY KEY,
      expires timestamptz NOT NULL
    ) WITH (autovacuum_vacuum_scale_factor = 0.05);
    CREATE INDEX pubsub_seen_expiring ON ${schema}.pubsub_seen (expires);

    -- A row's cursor moves with every claim: room for its next versions on the same page.
    CREATE TABLE ${schema}.pubsub_group (
      id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      topic integer NOT NULL,
      name text COLLATE "C" NOT NULL,
      settings text NOT NULL,
      ordered boolean NOT NULL,
      cursor bigint NOT NULL,
      since timestamptz,
      UNIQUE (topic, name)
    ) WITH (fillfactor = 25, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

    -- Rows come and go with every event: dead ones must not gather.
    CREATE TABLE ${schema}.pubsub_delivery (
      group_id integer NOT NULL,
      seq bigint NOT NULL,
      due timestamptz,
      expires timestamptz,
      token uuid,
      attempts integer NOT NULL,
      ordering_key text COLLATE "C",
      last_error text NOT NULL DEFAULT '',
      dead_id bigint,
      dead_time timestamptz,
      PRIMARY KEY (group_id, seq)
    ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
    CREATE INDEX pubsub_delivery_due ON ${schema}.pubsub_delivery (group_id, due, seq) WHERE due IS NOT NULL;
    CREATE INDEX pubsub_delivery_key ON ${schema}.pubsub_delivery (group_id, ordering_key, seq)
      WHERE ordering_key IS NOT NULL AND dead_id IS NULL;
    CREATE INDEX pubsub_delivery_dead ON ${schema}.pubsub_delivery (group_id, dead_id) WHERE dead_id IS NOT NULL;

    DO $$ BEGIN
      ALTER TABLE ${schema}.pubsub_event ALTER COLUMN payload SET COMPRESSION lz4;
    EXCEPTION WHEN feature_not_supported THEN
      NULL; -- a server built without lz4 compresses with pglz
    END $$;

    ${publishFunction(schema)}
    ${settleFunctions(schema)}
    ${claimFunctions(schema)}`,
};
