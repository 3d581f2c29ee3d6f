import type { DatabaseSync } from "node:sqlite";
import { Refusal } from "./failure.js";

/** "Mech" in ASCII: tells Mecha's files from other SQLite databases (https://www.sqlite.org/pragma.html#pragma_application_id). */
const applicationId = 0x4d656368;

/**
 * The layouts of the file, oldest first: step n turns layout n into n + 1, and layout 0 is an empty file. A step that was released is
 * never changed; a new layout is a new step at the end.
 *
 * `state_item`, read by the revision of each item's last write, is its own change log; `state_deletion` is the other half of the log,
 * kept for a while.
 *
 * `pubsub_event` is a log, written once however many groups a topic has. What a group has not looked at yet lies after its `cursor`; of what
 * lies before, `pubsub_delivery` has a row for each event that is not done: leased (it has a token), due later, behind the first
 * of its ordering key (it has no due time), or given up (it has a dead_id).
 */
export const layouts: readonly string[] = [
  `
  CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
  INSERT INTO meta (name, value) VALUES
    ('file_id', lower(hex(randomblob(8)))),
    ('revision', 0),
    ('state_forgotten', 0);

  CREATE TABLE request (
    scope TEXT NOT NULL,
    id TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    answer TEXT NOT NULL,
    expire_time INTEGER NOT NULL,
    PRIMARY KEY (scope, id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX request_by_expiry ON request (expire_time);

  CREATE TABLE state_item (
    keyspace TEXT NOT NULL,
    key TEXT NOT NULL,
    revision INTEGER NOT NULL,
    content_type TEXT NOT NULL,
    update_time INTEGER NOT NULL,
    expire_time INTEGER,
    value BLOB NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX state_item_by_key ON state_item (keyspace, key);
  CREATE INDEX state_item_by_revision ON state_item (revision);
  CREATE INDEX state_item_by_expiry ON state_item (expire_time) WHERE expire_time IS NOT NULL;

  CREATE TABLE state_deletion (
    revision INTEGER PRIMARY KEY,
    keyspace TEXT NOT NULL,
    key TEXT NOT NULL,
    expired INTEGER NOT NULL,
    time INTEGER NOT NULL
  ) STRICT;
  `,
  `
  CREATE TABLE pubsub_topic (
    id INTEGER PRIMARY KEY,
    keyspace TEXT NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (keyspace, name)
  ) STRICT;

  CREATE TABLE pubsub_event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    topic INTEGER NOT NULL,
    publish_time INTEGER NOT NULL,
    due_time INTEGER NOT NULL,
    expire_time INTEGER,
    ordering_key TEXT NOT NULL,
    payload BLOB NOT NULL
  ) STRICT;
  CREATE INDEX pubsub_event_by_topic ON pubsub_event (topic, seq);

  CREATE TABLE pubsub_seen (
    topic INTEGER NOT NULL,
    digest BLOB NOT NULL,
    expire_time INTEGER NOT NULL,
    PRIMARY KEY (topic, digest)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX pubsub_seen_by_expiry ON pubsub_seen (expire_time);

  CREATE TABLE pubsub_group (
    id INTEGER PRIMARY KEY,
    topic INTEGER NOT NULL,
    name TEXT NOT NULL,
    settings TEXT NOT NULL,
    ordered INTEGER NOT NULL,
    cursor INTEGER NOT NULL,
    UNIQUE (topic, name)
  ) STRICT;

  CREATE TABLE pubsub_delivery (
    seq INTEGER NOT NULL,
    group_id INTEGER NOT NULL,
    due_time INTEGER,
    token TEXT,
    attempts INTEGER NOT NULL,
    expire_time INTEGER,
    ordering_key TEXT,
    last_error TEXT NOT NULL DEFAULT '',
    dead_id INTEGER,
    dead_time INTEGER,
    PRIMARY KEY (seq, group_id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX pubsub_delivery_by_due_time ON pubsub_delivery (group_id, due_time, seq) WHERE due_time IS NOT NULL;
  CREATE INDEX pubsub_delivery_by_key ON pubsub_delivery (group_id, ordering_key, seq)
    WHERE ordering_key IS NOT NULL AND dead_id IS NULL;
  CREATE INDEX pubsub_delivery_by_death ON pubsub_delivery (group_id, dead_id) WHERE dead_id IS NOT NULL;
  `,
  `
  CREATE TABLE discovery_instance (
    namespace TEXT NOT NULL,
    app TEXT NOT NULL,
    id TEXT NOT NULL,
    address TEXT NOT NULL,
    version TEXT NOT NULL,
    zone TEXT NOT NULL,
    weight INTEGER NOT NULL,
    expire_time INTEGER NOT NULL,
    PRIMARY KEY (namespace, app, id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX discovery_instance_by_expiry ON discovery_instance (expire_time);
  `,
];

/** The layout that this version reads and writes. */
export const currentLayout = layouts.length;

/** Refuses what this version must not touch; the layout of what it may. Changes nothing. */
export function inspectLayout(db: DatabaseSync, newest = currentLayout): number {
  // One snapshot: another process may be making the file right now.
  const inTransaction = db.isTransaction;
  if (!inTransaction) db.exec("BEGIN");
  try {
    const layout = numberFrom(db, "PRAGMA user_version");
    const owner = numberFrom(db, "PRAGMA application_id");
    const isEmpty = numberFrom(db, "SELECT count(*) FROM sqlite_schema") === 0;
    if (owner !== applicationId && !(isEmpty && owner === 0)) {
      throw new Refusal({
        reason: "COMPONENT_UNAVAILABLE",
        message: "it is a SQLite database, but not one of Mecha's: `config.path` must name a file of its own",
      });
    }
    if (layout > newest) throw new Refusal(newerLayout(layout, newest));
    return layout;
  } finally {
    if (!inTransaction && db.isTransaction) db.exec("COMMIT");
  }
}

/** Says that a newer version has written the file. */
export function newerLayout(layout: number, newest = currentLayout) {
  return {
    reason: "COMPONENT_UNAVAILABLE",
    message: `the database file was written by a newer version of Mecha (layout ${layout}; this version knows up to ${newest}): run that version, or restore a backup from before the upgrade`,
  } as const;
}

/** Brings the file to the newest layout, in one transaction: of several processes that start at once, one does it. */
export function migrate(db: DatabaseSync, steps = layouts): void {
  if (inspectLayout(db, steps.length) === steps.length) return;
  db.exec("BEGIN IMMEDIATE");
  try {
    // Again, now under the lock: another process may have been faster.
    const layout = inspectLayout(db, steps.length);
    for (const step of steps.slice(layout)) db.exec(step);
    db.exec(`PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${steps.length}; COMMIT`);
  } finally {
    if (db.isTransaction) db.exec("ROLLBACK");
  }
}

function numberFrom(db: DatabaseSync, sql: string): number {
  return Number(Object.values(db.prepare(sql).get() ?? {})[0]);
}
