import { DatabaseSync } from "node:sqlite";
import { Refusal } from "./failure.js";
import { identityOf } from "./file.js";
import type { ThreadSettings } from "./jobs.js";
import { currentLayout, inspectLayout, migrate, newerLayout } from "./schema.js";

/** SQLite's own wait for a lock sleeps for up to 100 ms at a time, on the caller's thread, and starves a second process: never used. */
const noBusyHandler = { timeout: 0 } as const;

/**
 * Brings the file to the newest layout and opens it for reading. Throws SQLITE_BUSY while another process does the same: run it
 * again then.
 */
export function openForReading(path: string): DatabaseSync {
  const db = new DatabaseSync(path, noBusyHandler);
  try {
    // Before anything changes the file: it may belong to someone else.
    inspectLayout(db);
    useWal(db);
    migrate(db);
    db.exec("PRAGMA query_only = ON");
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** Opens for writing what {@link openForReading} has prepared. */
export function openForWriting({ path, synchronous, identity }: ThreadSettings): DatabaseSync {
  // Before SQLite would make an empty file of that name.
  checkIdentity(path, identity);
  const db = new DatabaseSync(path, noBusyHandler);
  // Checkpoints run between batches, not within a commit that someone waits for. fullfsync: on macOS, fsync alone does not reach the disk.
  db.exec(`
    PRAGMA synchronous = ${synchronous};
    PRAGMA fullfsync = ON;
    PRAGMA checkpoint_fullfsync = ON;
    PRAGMA wal_autocheckpoint = 0;
    PRAGMA cache_size = -8192;
  `);
  return db;
}

/** The switch to WAL needs the file for itself for a moment; afterwards it is a property of the file. */
function useWal(db: DatabaseSync): void {
  const mode = Object.values(db.prepare("PRAGMA journal_mode = WAL").get() ?? {})[0];
  if (mode === "wal") return;
  throw new Refusal({
    reason: "COMPONENT_UNAVAILABLE",
    message: `the file system cannot hold the database (journal mode stays "${String(mode)}" instead of WAL): use a local disk`,
  });
}

/**
 * A cheap question before each batch and in each health check: is this still the file at the path, in the layout that is known? A write
 * to a file that was removed would be answered, and gone with the process.
 */
export function createGuard(db: DatabaseSync, path: string, identity: string | undefined): () => void {
  const layout = db.prepare("PRAGMA user_version");
  return () => {
    const found = Number(layout.get()?.user_version);
    if (found > currentLayout) throw new Refusal(newerLayout(found));
    checkIdentity(path, identity);
  };
}

function checkIdentity(path: string, identity: string | undefined): void {
  if (identityOf(path) === identity) return;
  throw new Refusal({
    reason: "COMPONENT_UNAVAILABLE",
    message:
      "the database file was removed or replaced while it was in use: restart the runtime to use what is there now",
  });
}
