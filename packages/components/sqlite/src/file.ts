import { randomUUID } from "node:crypto";
import {
  accessSync,
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  rmSync,
  statSync,
} from "node:fs";
import { dirname } from "node:path";
import { Refusal } from "./failure.js";

/**
 * Makes sure that the database file exists and that this process may write it: folders with mode 0700, the file with 0600, which SQLite
 * gives to its -wal and -shm too. What exists keeps its mode.
 */
export function prepareFile(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    if (!existsSync(path)) createFile(path);
    if (!statSync(path).isFile()) throw Object.assign(new Error("not a file"), { code: "EISDIR" });
    accessSync(path, constants.R_OK | constants.W_OK);
    // SQLite makes -wal and -shm beside it.
    accessSync(dirname(path), constants.W_OK);
  } catch (error) {
    throw new Refusal({
      reason: "COMPONENT_UNAVAILABLE",
      message: `cannot open the database file ${path}: ${wordsFor(error)}`,
      detail: String(error),
    });
  }
}

/**
 * Makes an empty file under a name of its own and links it into place. A descriptor of a database file must never be closed outside
 * SQLite: POSIX drops every lock that the process has on the file with it, those of another component on the same file too. And
 * leaving the creation to SQLite would let the umask decide who may read it.
 */
function createFile(path: string): void {
  const draft = `${path}.${randomUUID()}.new`;
  closeSync(openSync(draft, "wx", 0o600));
  try {
    placeFile(draft, path);
  } catch (error) {
    // Another process was faster: its file is as good.
    if (codeOf(error) !== "EEXIST") throw error;
  } finally {
    rmSync(draft, { force: true });
  }
  syncFolder(dirname(path));
}

function placeFile(draft: string, path: string): void {
  try {
    linkSync(draft, path);
  } catch (error) {
    if (codeOf(error) === "EEXIST") throw error;
    // A file system without hard links. A copy closes a descriptor of the file, but only in its first moment.
    copyFileSync(draft, path, constants.COPYFILE_EXCL);
  }
}

/** A new name in a folder survives a crash of the host once the folder is synced. */
function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** What tells this file from another that is put in its place. */
export function identityOf(path: string): string | undefined {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats === undefined ? undefined : `${stats.dev}:${stats.ino}`;
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

function wordsFor(error: unknown): string {
  switch (codeOf(error)) {
    case "EACCES":
    case "EPERM":
      return "this user may not write there; give it the folder, or choose another with --data-dir or `config.path`";
    case "EROFS":
      return "the file system is read-only; choose another folder with --data-dir or `config.path`";
    case "EISDIR":
      return "it is not a file; `config.path` must name a file";
    case "ENOTDIR":
    case "EEXIST":
      return "a part of its path is a file, not a folder";
    case "ENOSPC":
    case "EDQUOT":
      return "the disk is full; free some space";
    default:
      return error instanceof Error ? error.message : String(error);
  }
}
