import type { Migration } from "../schema.js";

/**
 * The table of the discovery block: a row is the lease of an instance. One that is over stays, if it is the last of its app: by it the app is known.
 * Every runtime renews its row every few seconds: dead versions must not gather. Names are compared byte by byte: COLLATE "C".
 */
export const tables: Migration = {
  description: "discovery",
  sql: (schema) => `
    CREATE TABLE ${schema}.discovery_instance (
      namespace text COLLATE "C" NOT NULL,
      app text COLLATE "C" NOT NULL,
      id text COLLATE "C" NOT NULL,
      address text NOT NULL,
      version text NOT NULL,
      zone text NOT NULL,
      weight integer NOT NULL,
      expires timestamptz NOT NULL,
      PRIMARY KEY (namespace, app, id)
    ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
    CREATE INDEX discovery_instance_expiring ON ${schema}.discovery_instance (expires);`,
};
