import { appMemoryMs } from "@mecha/component";
import type { Statement } from "../connection.js";

/** How many rows one sweep removes at the most: few enough to be in nobody's way. */
export const sweepLimit = 256;

/**
 * No lease is waited for until it is on disk: if a crash of the server loses a registration or a renewal the runtime registers anew, and if it loses
 * that one has left, the lease ends by itself.
 */
const hasty = "hasty AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))";

/** The statements of the discovery block. "Now" is the server's clock. */
export function discoveryStatements(schema: string) {
  const table = `${schema}.discovery_instance`;
  const known = `expires > statement_timestamp() - interval '${appMemoryMs} ms'`;
  const own = "i.namespace = $1 AND i.app = $2 AND i.id = $3 AND i.expires > statement_timestamp()";
  // Told in the transaction, as long as leases that begin and end are few: so it is told if and only if it is done.
  const told = `SELECT pg_notify('${channelOf(schema)}', $1 || '/' || $2)`;
  return {
    /** Several apps by their namespaces and names: the number of each, from 1, with its rows. What is over has no ms left. */
    find: {
      name: "discovery_find",
      text: `
        SELECT asked.number, i.id, i.address, i.version, i.zone, i.weight,
            ceil(extract(epoch FROM i.expires - statement_timestamp()) * 1000)
          FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked(namespace, app, number)
          JOIN ${table} i ON i.namespace = asked.namespace AND i.app = asked.app
          WHERE i.${known} ORDER BY asked.number, i.id`,
    },
    list: {
      name: "discovery_list",
      text: `SELECT DISTINCT app FROM ${table} WHERE namespace = $1 AND ${known} ORDER BY app`,
    },
    register: {
      name: "discovery_register",
      text: `
        WITH ${hasty}, registered AS (
          INSERT INTO ${table} (namespace, app, id, address, version, zone, weight, expires)
            SELECT $1, $2, $3, $4, $5, $6, $7::integer, statement_timestamp() + $8::bigint * interval '1 ms' FROM hasty
            ON CONFLICT (namespace, app, id) DO UPDATE SET address = excluded.address, version = excluded.version,
              zone = excluded.zone, weight = excluded.weight, expires = excluded.expires
            RETURNING 1
        ) ${told} FROM registered`,
    },
    renew: {
      name: "discovery_renew",
      text: `
        WITH ${hasty}
        UPDATE ${table} i SET expires = statement_timestamp() + $4::bigint * interval '1 ms' FROM hasty WHERE ${own} RETURNING 1`,
    },
    deregister: {
      name: "discovery_deregister",
      text: `
        WITH ${hasty}, ended AS (
          UPDATE ${table} i SET expires = statement_timestamp() FROM hasty WHERE ${own} RETURNING 1
        ) ${told} FROM ended`,
    },
    /** Removes what is over: all that need not be remembered, and of the rest all but the last of each app. */
    sweep: {
      name: "discovery_sweep",
      text: `
        WITH over AS MATERIALIZED (
          SELECT i.namespace, i.app, i.id FROM ${table} i
            WHERE i.expires <= statement_timestamp() AND (NOT i.${known} OR (
              SELECT true FROM ${table} later
                WHERE later.namespace = i.namespace AND later.app = i.app AND (later.expires, later.id) > (i.expires, i.id) LIMIT 1
            ))
            ORDER BY i.expires LIMIT ${sweepLimit} FOR UPDATE OF i SKIP LOCKED
        ) DELETE FROM ${table} i USING over WHERE i.namespace = over.namespace AND i.app = over.app AND i.id = over.id`,
    },
  } satisfies Record<string, Statement>;
}

/** Where runtimes tell each other of which app an instance came, changed or left: "default/orders". */
export const channelOf = (schema: string): string => `${schema}_discovery`;
