import { randomBytes } from "node:crypto";
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { IdentityError } from "./identity.js";

/** How long a draft may stand before it counts as left behind by a process that died, in ms. */
const draftLifetimeMs = 60_000;

/** Writes a new file that only its owner may read, and waits until it is on disk. */
export function writePrivately(path: string, text: string): void {
  const file = openSync(path, "wx", 0o600);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Writes a file, or replaces it whole: who reads it, and what a crash leaves, is the old one or the new one. */
export function replacePrivately(path: string, text: string): void {
  const draft = `${path}.${randomBytes(6).toString("hex")}.new`;
  try {
    writePrivately(draft, text);
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
  syncFolder(dirname(path));
}

/** Removes the drafts of {@link replacePrivately} that a crash left in a folder. */
export function removeDrafts(folder: string): void {
  for (const name of readdirSync(folder)) {
    if (!name.endsWith(".new")) continue;
    const written = statSync(join(folder, name), { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    if (Date.now() - written > draftLifetimeMs) rmSync(join(folder, name), { force: true });
  }
}

/** Waits until what was renamed in a folder is on disk: without it a power failure may undo it. (Windows cannot.) */
export function syncFolder(folder: string): void {
  if (process.platform === "win32") return;
  const handle = openSync(folder, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** Makes a folder that only its owner may enter; refuses one that others may. */
export function ensurePrivateFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const mode = statSync(folder).mode & 0o777;
  if (process.platform === "win32" || (mode & 0o077) === 0) return;
  throw new IdentityError(`${folder} has mode 0${mode.toString(8)}, and is to hold a private key: chmod 700 it`);
}

/**
 * Refuses a key that others than its owner may read. One of root's may be read by a group, since no process but root's can own it: so does Kubernetes
 * mount a secret for a pod that has an `fsGroup` (and so does PostgreSQL: https://www.postgresql.org/docs/current/ssl-tcp.html). Windows has no such modes.
 */
export function requirePrivate(path: string): void {
  if (process.platform === "win32") return;
  const { mode, uid } = statSync(path);
  const isOfRootForUs = uid === 0 && process.geteuid?.() !== 0;
  const forbidden = isOfRootForUs ? 0o037 : 0o077;
  if ((mode & forbidden) === 0) return;
  throw new IdentityError(
    `the private key ${path} has mode 0${(mode & 0o777).toString(8)}, so that others may read it: chmod 600 it, and replace it if somebody may have`,
  );
}

/** What the system calls an error: "ENOENT". */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
