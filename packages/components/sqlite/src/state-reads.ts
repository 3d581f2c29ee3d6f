import type { DatabaseSync, SQLOutputValue } from "node:sqlite";
import type { Clock, StateItem } from "@mecha/component";
import type { KeyRange } from "./ranges.js";
import { etagOf } from "./state-jobs.js";

/** How much of a range one page holds. */
export interface PageLimits {
  readonly limit: number;
  readonly maxBytes: number;
  readonly keysOnly: boolean;
}

export interface Page {
  readonly items: StateItem[];
  readonly more: boolean;
}

/** One line of the change log: a key that was written or is gone. */
export interface LogEntry {
  readonly revision: number;
  readonly keyspace: string;
  readonly key: string;
  readonly gone: boolean;
  readonly expired: boolean;
}

/** What the state block reads. Every function is one or more statements, to be run by the connection's reader. */
export interface StateReads {
  get(keyspace: string, key: string): StateItem | undefined;
  list(keyspace: string, range: KeyRange, limits: PageLimits): Page;
  /** What was logged after revision `from` up to and including `to`, in order. */
  log(from: number, to: number): LogEntry[];
  /** The revision of the last write. */
  revision(): number;
  /** The revision up to which deletions are forgotten. */
  forgotten(): number;
  /** Names the file; a copy of it keeps the name. */
  fileId(): string;
}

/** Prepares the statements over the connection that reads. */
export function createStateReads(db: DatabaseSync, clock: Clock): StateReads {
  const columns = "key, revision, content_type, update_time, expire_time";
  const live = "(expire_time IS NULL OR expire_time > ?)";
  const get = db.prepare(`SELECT ${columns}, value FROM state_item WHERE keyspace = ? AND key = ? AND ${live}`);
  const list = (value: string) =>
    db.prepare(`
      SELECT ${columns}, ${value} FROM state_item
      WHERE keyspace = ? AND key >= ? AND key < ? AND ${live} ORDER BY key LIMIT ?
    `);
  const listItems = list("value");
  const listKeys = list("x'' AS value");
  const log = db.prepare(`
    SELECT revision, keyspace, key, 0 AS gone, 0 AS expired FROM state_item WHERE revision > ?1 AND revision <= ?2
    UNION ALL
    SELECT revision, keyspace, key, 1, expired FROM state_deletion WHERE revision > ?1 AND revision <= ?2
    ORDER BY revision
  `);
  const meta = db.prepare("SELECT value FROM meta WHERE name = ?");

  return {
    get(keyspace, key) {
      const row = get.get(keyspace, key, clock.now());
      return row === undefined ? undefined : itemFrom(row);
    },

    list(keyspace, { from, to }, { limit, maxBytes, keysOnly }) {
      const items: StateItem[] = [];
      let bytes = 0;
      const rows = (keysOnly ? listKeys : listItems).iterate(keyspace, from, to, clock.now(), limit + 1);
      for (const row of rows) {
        const item = itemFrom(row);
        bytes += item.value.byteLength;
        if (items.length === limit || (bytes > maxBytes && items.length > 0)) return { items, more: true };
        items.push(item);
      }
      return { items, more: false };
    },

    log(from, to) {
      return log.all(from, to).map(({ revision, keyspace, key, gone, expired }) => ({
        revision: Number(revision),
        keyspace: String(keyspace),
        key: String(key),
        gone: gone === 1,
        expired: expired === 1,
      }));
    },

    revision: () => Number(meta.get("revision")?.value),
    forgotten: () => Number(meta.get("state_forgotten")?.value),
    fileId: () => String(meta.get("file_id")?.value),
  };
}

/** The value is a copy that was made for this row. */
function itemFrom(row: Record<string, SQLOutputValue>): StateItem {
  const updateTime = Number(row.update_time);
  return {
    key: String(row.key),
    value: row.value as Uint8Array,
    contentType: String(row.content_type),
    etag: etagOf(Number(row.revision), updateTime),
    expireTime: row.expire_time === null ? undefined : Number(row.expire_time),
    updateTime,
  };
}
