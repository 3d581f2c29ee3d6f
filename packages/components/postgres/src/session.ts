import type { Durability } from "@mecha/component";
import type { ClientBase } from "pg";
import { unavailable } from "./errors.js";

/** The oldest major version with everything that is used here: `pg_current_snapshot`, `xid8`, index deletion from the bottom up. */
const oldestVersion = 140_000;

/** What a new connection told about its server. */
export interface Session {
  readonly durability: Durability;
}

/**
 * Every statement here is an index range or a lookup. A planner that sees a table before it was ever analysed may think otherwise, and a
 * prepared statement keeps the plan; so the session takes the other ways away from it. `statement_timeout` does not count while an answer is
 * being sent, and locks are held so long: a runtime whose host is gone, or that hangs, loses its connection by `tcp_user_timeout`.
 */
const settings = (statementTimeoutMs: number) => `
  SET statement_timeout = ${statementTimeoutMs};
  SET idle_in_transaction_session_timeout = ${statementTimeoutMs};
  SET tcp_user_timeout = ${statementTimeoutMs};
  SET default_transaction_isolation = 'read committed';
  SET plan_cache_mode = force_generic_plan;
  SET enable_seqscan = off;
  SET enable_bitmapscan = off;
  SET enable_hashjoin = off;
  SET enable_mergejoin = off;
  SET jit = off;
  SET bytea_output = hex;
  SET client_min_messages = warning;`;

const question = `
  SELECT current_setting('server_version_num')::int, current_setting('server_encoding'), current_setting('transaction_read_only'),
    current_setting('fsync'), current_setting('synchronous_commit'), current_setting('synchronous_standby_names')`;

/** Sets a new connection up and looks at where it leads; rejects when the server will not do. */
export async function openSession(client: ClientBase, statementTimeoutMs: number): Promise<Session> {
  await client.query(settings(statementTimeoutMs));
  const { rows } = await client.query<[number, string, string, string, string, string]>({
    text: question,
    rowMode: "array",
  });
  const [version, encoding, readOnly, fsync, synchronousCommit, standbys] = rows[0] ?? [0, "", "", "", "", ""];
  if (version < oldestVersion) {
    const major = Math.floor(version / 10_000);
    throw unavailable(`the server is PostgreSQL ${major}; 14 or later is needed`);
  }
  if (encoding !== "UTF8") {
    throw unavailable(
      `the database's encoding is ${encoding}, but keys are UTF-8; create one with: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0`,
    );
  }
  if (readOnly === "on")
    throw unavailable("the PostgreSQL server is a read-only standby; point the url at the primary");
  return { durability: durabilityOf(fsync, synchronousCommit, standbys) };
}

/** What an answered commit survives, by the settings that are in force for this connection. */
export function durabilityOf(fsync: string, synchronousCommit: string, standbys: string): Durability {
  if (fsync === "off" || synchronousCommit === "off") return "PROCESS";
  const waitsForStandby = synchronousCommit === "on" || synchronousCommit === "remote_apply";
  return waitsForStandby && standbys.trim() !== "" ? "REPLICATED" : "HOST";
}
