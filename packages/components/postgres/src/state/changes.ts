import { ComponentError, type StateItem } from "@mecha/component";
import { encodeTexts } from "../binary.js";
import type { Connection, Row, Statement } from "../connection.js";
import { type Position, type Snapshot, unseenBy, xmaxOf } from "./position.js";
import { isPresent, itemColumns, itemWidth, toItem } from "./rows.js";

/** How many rows are read at once, and how many bytes of values (one row at least). */
const batch = { rows: 256, bytes: 4 * 1024 * 1024 };

/** More changed keys than this are not told one by one. */
const maxChangedKeys = 1_000;

/** The keys of a watch. */
export interface Range {
  readonly keyspace: string;
  readonly from: string;
  readonly to: string;
}

/** A row as a watch reports it. */
export interface Entry {
  readonly key: string;
  readonly item: StateItem | undefined;
  readonly expired: boolean;
  /** Where a watch stands after it. */
  readonly position: Position;
}

/** What one read brought: the entries, and where the watch stands after all of them. */
export interface Batch {
  readonly entries: readonly Entry[];
  readonly position: Position;
  /** Whether nothing more can be read from there now. */
  readonly isLast: boolean;
}

/** Reads the state table as a log of what changed. */
export interface ChangeLog {
  /** What positions count by: transactions of this server, since the data was last restored. */
  epoch(signal?: AbortSignal): Promise<string>;
  /** What is there now behind the key `after`; the next batch goes on from the position, whose base is that of the first. */
  scan(range: Range, position: Position | undefined, signal: AbortSignal): Promise<Batch>;
  /** What changed since a position. Throws RESUME_EXPIRED when deletions since then may be forgotten. */
  changes(range: Range, position: Position, signal: AbortSignal): Promise<Batch>;
  /** Which keys of some keyspaces changed since a snapshot; undefined when they are many. */
  changedKeys(
    keyspaces: readonly string[],
    since: Snapshot,
  ): Promise<{ snapshot: Snapshot; keys: { keyspace: string; key: string }[] | undefined }>;
  /** The snapshot of now. */
  now(): Promise<Snapshot>;
}

export function createChangeLog(connection: Connection): ChangeLog {
  const statements = logStatements(connection.schema);

  return {
    async epoch(signal) {
      const [row] = await connection.query(statements.epoch, [], { effect: "read", signal });
      return row?.[0] ?? "";
    },

    async scan({ keyspace, from, to }, position, signal) {
      const values = [keyspace, from, to, position?.scannedTo ?? "", batch.rows, batch.bytes];
      const rows = await connection.query(statements.scan, values, { effect: "read", signal });
      const base = position?.base ?? snapshotOf(rows[0]);
      const entries = rows.filter(isEntry).map((row): Entry => {
        const item = toItem(row, 2);
        return { key: item.key, item, expired: false, position: { base, scannedTo: item.key } };
      });
      const isLast = Number(rows[0]?.[2 + itemWidth] ?? 0) <= entries.length;
      return { entries, isLast, position: isLast ? { base } : (entries.at(-1)?.position ?? { base }) };
    },

    async changes({ keyspace, from, to }, { base, within }, signal) {
      const values = [
        ...[keyspace, xmaxOf(base), unseenBy(base), from, to],
        ...[within?.snapshot.text ?? null, within?.xid ?? "0", within?.key ?? "", batch.rows, batch.bytes, base.at],
      ];
      const rows = await connection.query(statements.changes, values, { effect: "read", signal });
      const [first] = rows;
      if (first?.[2] === "t" || isAhead(base, snapshotOf(first))) throw resumeExpired();
      const snapshot = within?.snapshot ?? snapshotOf(first);
      const entries = rows.filter((row) => row[3] !== null).map((row) => toEntry(row, base, snapshot));
      const isLast = Number(first?.[5 + itemWidth] ?? 0) <= entries.length;
      // What became visible after the first read of several is the next read's: its rows were left out.
      const position = isLast ? { base: snapshot } : (entries.at(-1)?.position ?? { base });
      const last = entries.at(-1);
      if (isLast && last !== undefined) entries[entries.length - 1] = { ...last, position };
      return { entries, position, isLast: isLast && within === undefined };
    },

    async changedKeys(keyspaces, since) {
      const values = [encodeTexts(keyspaces), xmaxOf(since), unseenBy(since), maxChangedKeys + 1];
      const rows = await connection.query(statements.changedKeys, values, { effect: "read" });
      const snapshot = snapshotOf(rows[0]);
      if (rows.length > maxChangedKeys || isAhead(since, snapshot)) return { snapshot, keys: undefined };
      const changed = rows.filter((row) => row[2] !== null);
      return { snapshot, keys: changed.map(([, , keyspace, key]) => ({ keyspace: keyspace ?? "", key: key ?? "" })) };
    },

    async now() {
      const [row] = await connection.query(statements.now, [], { effect: "read" });
      return snapshotOf(row);
    },
  };
}

const snapshotOf = (row: Row | undefined): Snapshot => ({
  text: row?.[0] ?? "",
  at: Math.round(Number(row?.[1]) * 1000),
});

const isEntry = (row: Row) => row[2] !== null;

function toEntry(row: Row, base: Snapshot, snapshot: Snapshot): Entry {
  const [, , , xid, gone] = row;
  const item = toItem(row, 5);
  const position = { base, within: { snapshot, xid: xid ?? "0", key: item.key } };
  return { key: item.key, item: gone === null ? item : undefined, expired: gone === "x", position };
}

/** Whether a server's transactions are behind those that it told of before: it was set back, by a restore or a failover that lost some. */
function isAhead(position: Snapshot, now: Snapshot): boolean {
  return BigInt(xmaxOf(position)) > BigInt(xmaxOf(now));
}

export function resumeExpired(): ComponentError {
  const message = "PostgreSQL no longer knows all that was deleted since this resume token; watch again without one";
  return new ComponentError("RESUME_EXPIRED", message);
}

function logStatements(schema: string) {
  const state = `${schema}.state`;
  const here = `here AS MATERIALIZED (SELECT pg_current_snapshot() AS snapshot, date_part('epoch', statement_timestamp()) AS instant)`;
  // What a snapshot did not see: what began after it, and what was under way. Ranges of an index, however old another transaction is: each of
  // those that were under way is looked up by itself, for as one list the planner may take them as a filter over everything.
  const unseen = (condition: string, limit: string) => `
    (SELECT * FROM ${state} WHERE ${condition} AND xid >= $2::xid8 ${limit})
    UNION ALL
    (SELECT found.* FROM unnest($3::xid8[]) AS pending,
      LATERAL (SELECT * FROM ${state} WHERE ${condition} AND xid = pending ${limit}) found ${limit})`;
  // An item past its time that is not swept yet is not there any more; its sweep will be reported.
  const isReported = `(gone IS NOT NULL OR (${isPresent}))`;
  const sized = `sum(octet_length(value)) OVER numbered AS total, row_number() OVER numbered AS number, count(*) OVER () AS found`;
  return {
    epoch: { name: "state_epoch", text: `SELECT epoch FROM ${schema}.state_log` },
    now: { name: "state_now", text: `WITH ${here} SELECT * FROM here` },
    scan: {
      name: "state_scan",
      text: `
        WITH ${here}, page AS MATERIALIZED (
          SELECT * FROM ${state} WHERE keyspace = $1 AND key >= $2 AND key < $3 AND key > $4 AND ${isPresent} ORDER BY key LIMIT $5::int + 1
        ), sized AS (SELECT *, ${sized} FROM page WINDOW numbered AS (ORDER BY key))
        SELECT here.snapshot, here.instant, ${itemColumns()}, found
          FROM here LEFT JOIN sized ON number <= $5::int AND (total <= $6 OR number = 1) ORDER BY key`,
    },
    changes: {
      name: "state_changes",
      text: `
        WITH ${here}, page AS MATERIALIZED (
          SELECT * FROM (${unseen(
            `keyspace = $1 AND key >= $4 AND key < $5 AND xid >= $7::xid8 AND (xid, key) > ($7::xid8, $8) AND ${isReported}
              AND pg_visible_in_snapshot(xid, coalesce($6::pg_snapshot, pg_current_snapshot()))`,
            "ORDER BY xid, key LIMIT $9::int + 1",
          )}) changed ORDER BY xid, key LIMIT $9::int + 1
        ), sized AS (SELECT *, ${sized} FROM page WINDOW numbered AS (ORDER BY xid, key))
        SELECT here.snapshot, here.instant,
            (SELECT forgotten >= to_timestamp($11::float8 / 1000) FROM ${schema}.state_log),
            xid, gone, ${itemColumns()}, found
          FROM here LEFT JOIN sized ON number <= $9::int AND (total <= $10 OR number = 1) ORDER BY xid, sized.key`,
    },
    changedKeys: {
      name: "state_changed_keys",
      text: `
        WITH ${here}, watched AS (SELECT unnest($1::text[]) AS name)
        SELECT here.snapshot, here.instant, changed.keyspace, changed.key FROM here LEFT JOIN LATERAL (
          SELECT found.keyspace, found.key FROM watched, LATERAL (${unseen("keyspace = watched.name", "LIMIT $4")}) found LIMIT $4
        ) changed ON true`,
    },
  } satisfies Record<string, Statement>;
}
