import type { ClientBase } from "pg";
import * as discovery from "./discovery/schema.js";
import { unavailable } from "./errors.js";
import * as pubsub from "./pubsub/schema.js";
import { publishingWrites } from "./state/publishing-writes.js";
import * as state from "./state/schema.js";

/** One step of the schema's history. Once released it never changes; another one follows it. */
export interface Migration {
  readonly description: string;
  readonly sql: (schema: string) => string;
}

/** Every step, of all blocks, in the order in which they came to be: its place, from 1, is the schema's version. */
export const migrations: readonly Migration[] = [state.tables, pubsub.tables, publishingWrites, discovery.tables];

/** Run at every start, after the migrations: what must be put right when the data was restored. */
const adoptions = [state.adopt];

/** The schema's version that this code needs. */
export const currentVersion: number = migrations.length;

/**
 * Brings the schema to the version that this code needs. Runtimes that start at once do it one after the other. Rejects when the schema
 * is newer: an older runtime could spoil what it does not know.
 */
export async function migrate(
  client: ClientBase,
  schema: string,
  steps: readonly Migration[] = migrations,
): Promise<void> {
  await client.query("BEGIN");
  try {
    // Before anything is looked at, and until the commit: what another runtime did is seen, and nothing is done twice.
    await client.query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", [`mecha/schema/${schema}`]);
    await client.query("SET LOCAL statement_timeout = 0");
    if (!(await exists(client, schema))) await create(client, schema);
    const version = await versionOf(client, schema);
    refuseNewer(schema, version, steps.length);
    for (const [index, step] of [...steps.entries()].slice(version)) {
      await client.query(step.sql(schema));
      await client.query(`INSERT INTO ${schema}.schema_version (version, description) VALUES ($1, $2)`, [
        index + 1,
        step.description,
      ]);
    }
    for (const adopt of adoptions) await client.query(adopt(schema));
    await client.query("COMMIT");
  } catch (error) {
    await client.query("ROLLBACK");
    throw error;
  }
}

/** Rejects when the schema was brought to a newer version since, by a newer runtime. */
export async function requireKnownSchema(client: ClientBase, schema: string): Promise<void> {
  refuseNewer(schema, await versionOf(client, schema), currentVersion);
}

async function exists(client: ClientBase, schema: string): Promise<boolean> {
  const { rows } = await client.query<[string | null]>({
    text: "SELECT to_regclass($1)",
    values: [`${schema}.schema_version`],
    rowMode: "array",
  });
  return rows[0]?.[0] != null;
}

async function create(client: ClientBase, schema: string): Promise<void> {
  // CREATE SCHEMA IF NOT EXISTS asks for the right to create one even if there is one.
  const { rowCount } = await client.query("SELECT FROM pg_namespace WHERE nspname = $1", [schema]);
  if (rowCount === 0) await client.query(`CREATE SCHEMA ${schema}`);
  await client.query(`
    CREATE TABLE ${schema}.schema_version (
      version integer PRIMARY KEY,
      description text NOT NULL,
      migrated timestamptz NOT NULL DEFAULT now()
    )`);
}

async function versionOf(client: ClientBase, schema: string): Promise<number> {
  const { rows } = await client.query<[number]>({
    text: `SELECT coalesce(max(version), 0) FROM ${schema}.schema_version`,
    rowMode: "array",
  });
  return rows[0]?.[0] ?? 0;
}

function refuseNewer(schema: string, found: number, known: number): void {
  if (found <= known) return;
  throw unavailable(
    `schema "${schema}" has version ${found}, written by a newer Mecha; this one knows ${known}: upgrade this runtime, or give it another \`schema\``,
  );
}
