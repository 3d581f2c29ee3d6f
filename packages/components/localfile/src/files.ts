import { randomBytes } from "node:crypto";
import { constants, type Stats } from "node:fs";
import { type FileHandle, link, lstat, open, readdir, rename, unlink } from "node:fs/promises";
import { ComponentError } from "@mecha/component";
import { type Folder, openFolder } from "./folder.js";
import { ownPrefix } from "./path.js";

/** What a folder has. */
export interface Entry {
  readonly name: string;
  readonly type: "file" | "folder";
  /** In bytes; 0 for a folder. */
  readonly size: number;
  /** ISO 8601. */
  readonly modified: string;
}

/** Files below one root. Paths come as names, from the root down, checked. */
export interface Files {
  read(names: readonly string[]): Promise<{ readonly data: Uint8Array; readonly modified: Date }>;
  /** Puts data under a name, all of it or nothing, so that it survives a crash of the machine. Makes the folders that it is in. */
  write(names: readonly string[], data: Uint8Array, ifAbsent: boolean): Promise<void>;
  /** Whether there was a file. */
  remove(names: readonly string[]): Promise<boolean>;
  /** The names in a folder that files and folders have, in their order, after `after`. */
  names(names: readonly string[], after: string, limit: number): Promise<{ entries: Entry[]; more: boolean }>;
}

/** O_NONBLOCK: opening a pipe must not wait for its other end. */
const readFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const createFlags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/** @param root resolved. */
export function createFiles(root: string, maxFileBytes: number): Files {
  const within = async <T>(
    names: readonly string[],
    make: boolean,
    work: (folder: Folder, name: string) => Promise<T>,
  ) => {
    await using folder = await openFolder(root, names.slice(0, -1), make);
    return await work(folder, names.at(-1) ?? "");
  };

  return {
    read: (names) =>
      within(names, false, async (folder, name) => {
        await using file = await open(folder.at(name), readFlags);
        const stats = await file.stat();
        if (!stats.isFile()) throw notAFile(names);
        if (stats.size > maxFileBytes) throw tooLarge(names, stats.size, maxFileBytes);
        return { data: await readWhole(file, stats, names, maxFileBytes), modified: stats.mtime };
      }),

    write: (names, data, ifAbsent) =>
      within(names, true, async (folder, name) => {
        const temporary = folder.at(`${ownPrefix}${randomBytes(8).toString("hex")}`);
        try {
          await using file = await open(temporary, createFlags, 0o666);
          await file.writeFile(data);
          await file.sync();
        } catch (error) {
          await unlink(temporary).catch(() => {});
          throw error;
        }
        // A link fails where the name is taken; a rename replaces what has it, were it a symbolic link.
        try {
          if (ifAbsent) await link(temporary, folder.at(name));
          else await rename(temporary, folder.at(name));
        } finally {
          await unlink(temporary).catch(() => {});
        }
        await folder.sync().catch((cause: unknown) => {
          throw new ComponentError("OUTCOME_UNKNOWN", `"${names.join("/")}" was written, but may not outlast a crash`, {
            cause,
          });
        });
      }),

    async remove(names) {
      try {
        return await within(names, false, async (folder, name) => {
          if ((await lstat(folder.at(name))).isDirectory()) throw notAFile(names);
          await unlink(folder.at(name));
          await folder.sync();
          return true;
        });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
        throw error;
      }
    },

    async names(names, after, limit) {
      await using folder = await openFolder(root, names);
      const found = await readdir(folder.at("."), { withFileTypes: true });
      const visible = found
        .filter(
          (entry) => (entry.isFile() || entry.isDirectory()) && !entry.name.startsWith(ownPrefix) && entry.name > after,
        )
        .sort((a, b) => (a.name < b.name ? -1 : 1));
      const entries: Entry[] = [];
      for (const entry of visible.slice(0, limit)) {
        const stats = await lstat(folder.at(entry.name)).catch(() => undefined);
        if (stats !== undefined) entries.push(toEntry(entry.name, stats));
      }
      return { entries, more: visible.length > limit };
    },
  };
}

/** Reads a file that may grow meanwhile. */
async function readWhole(
  file: FileHandle,
  { size }: Stats,
  names: readonly string[],
  maxBytes: number,
): Promise<Uint8Array> {
  const data = new Uint8Array(size + 1);
  let length = 0;
  for (;;) {
    const { bytesRead } = await file.read(data, length, data.byteLength - length, length);
    length += bytesRead;
    if (bytesRead === 0) return data.slice(0, length);
    if (length <= size) continue;
    if (length > maxBytes) throw tooLarge(names, length, maxBytes);
    throw new ComponentError("COMPONENT_UNAVAILABLE", `"${names.join("/")}" is being written; read it again`, {
      retryAfterMs: 100,
    });
  }
}

function toEntry(name: string, stats: Stats): Entry {
  const isFolder = stats.isDirectory();
  return {
    name,
    type: isFolder ? "folder" : "file",
    size: isFolder ? 0 : stats.size,
    modified: stats.mtime.toISOString(),
  };
}

function notAFile(names: readonly string[]): ComponentError {
  return new ComponentError("BAD_REQUEST", `"${names.join("/")}" is no file`);
}

function tooLarge(names: readonly string[], size: number, limit: number): ComponentError {
  const metadata = { limit_bytes: String(limit), actual_bytes: String(size) };
  return new ComponentError("TOO_LARGE", `"${names.join("/")}" is ${size} bytes; the limit is ${limit}`, { metadata });
}
