import { lstat, readdir } from "node:fs/promises";
import { type Clock, ComponentError, createInputQueue, type InputQueue, type Logger } from "@mecha/component";
import type { LocalFileConfig } from "./config.js";
import { openFolder } from "./folder.js";
import { ownPrefix } from "./path.js";

/** What tells one version of a file from another. */
interface Version {
  readonly id: string;
  readonly size: number;
  readonly time: number;
}

/** A folder that is watched. */
export interface FolderWatch {
  readonly queue: InputQueue;
  /** Why the folder cannot be looked at; undefined if it can. */
  readonly fault: Error | undefined;
  close(): void;
}

/** Events that may wait; then the folder is not looked at until there are fewer, and what changed meanwhile is found as one change. */
const maxQueued = 10_000;

/**
 * Looks at a folder again and again, and says what is different: so it works on every file system, and nothing that happens is missed, though what
 * happens between two looks is one change. A file is told of once two looks found it the same: not while it is still being written.
 *
 * @param root resolved.
 */
export async function watchFolder(
  root: string,
  options: NonNullable<LocalFileConfig["watch"]>,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): Promise<FolderWatch> {
  const queue = createInputQueue({ clock });
  let told = options.existing ? new Map<string, Version>() : await scan(root, options.maxFiles);
  let before = new Map(told);
  let fault: Error | undefined;
  let cancel = () => {};
  let closed = false;

  const look = async () => {
    if (queue.size < maxQueued) {
      try {
        const now = await scan(root, options.maxFiles);
        told = compare(told, before, now, (path, change, version) =>
          queue.put(toEvent(path, change, version, clock.now())),
        );
        before = now;
        fault = undefined;
      } catch (error) {
        if (fault === undefined) logger.warn("the folder cannot be looked at; trying again", { error: String(error) });
        fault = error instanceof Error ? error : new Error(String(error));
      }
    }
    if (!closed) cancel = clock.after(options.intervalMs, () => void look());
  };
  cancel = clock.after(options.intervalMs, () => void look());

  return {
    queue,
    get fault() {
      return fault;
    },
    close() {
      closed = true;
      cancel();
      queue.close();
    },
  };
}

type Change = "created" | "changed" | "deleted";

/** Tells what differs between what was told and what is there, as far as it is at rest; gives what is told now. */
function compare(
  told: ReadonlyMap<string, Version>,
  before: ReadonlyMap<string, Version>,
  now: ReadonlyMap<string, Version>,
  tell: (path: string, change: Change, version: Version) => void,
): Map<string, Version> {
  const next = new Map(told);
  for (const [path, version] of now) {
    const known = told.get(path);
    if (known?.id === version.id || before.get(path)?.id !== version.id) continue;
    tell(path, known === undefined ? "created" : "changed", version);
    next.set(path, version);
  }
  for (const [path, version] of told) {
    if (now.has(path)) continue;
    tell(path, "deleted", version);
    next.delete(path);
  }
  return next;
}

function toEvent(path: string, change: Change, { id, size, time }: Version, now: number) {
  return {
    id: `${change}:${path}:${id}`.slice(-256),
    time: change === "deleted" ? now : time,
    data: new Uint8Array(),
    contentType: "",
    metadata: { path, change, ...(change !== "deleted" && { size: String(size) }) },
  };
}

/** Every file below the root, by its path; symbolic links are neither followed nor told. */
async function scan(root: string, maxFiles: number): Promise<Map<string, Version>> {
  const files = new Map<string, Version>();
  const visit = async (names: readonly string[]) => {
    await using folder = await openFolder(root, names);
    for (const entry of await readdir(folder.at("."), { withFileTypes: true })) {
      if (entry.name.startsWith(ownPrefix)) continue;
      const inner = [...names, entry.name];
      if (entry.isDirectory()) await visit(inner).catch(ignoreGone);
      else if (entry.isFile()) {
        const stats = await lstat(folder.at(entry.name), { bigint: true }).catch(ignoreGone);
        if (stats !== undefined) {
          const id = `${stats.ino.toString(36)}-${stats.mtimeNs.toString(36)}-${stats.size.toString(36)}`;
          files.set(inner.join("/"), { id, size: Number(stats.size), time: Number(stats.mtimeMs) });
        }
      }
      if (files.size > maxFiles)
        throw new ComponentError("TOO_LARGE", `the folder has more than ${maxFiles} files; raise watch.maxFiles`);
    }
  };
  await visit([]);
  return files;
}

/** What went while it was looked at, or turned into something else. */
function ignoreGone(error: NodeJS.ErrnoException): undefined {
  if (error.code === "ENOENT" || error.code === "ENOTDIR" || error.code === "ELOOP") return undefined;
  throw error;
}
