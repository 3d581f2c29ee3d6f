import { constants, existsSync } from "node:fs";
import { type FileHandle, mkdir, open, realpath } from "node:fs/promises";
import { join } from "node:path";

/** A folder below the root, held open. */
export interface Folder extends AsyncDisposable {
  /** The path of a name in this very folder, wherever the folder is by now. */
  at(name: string): string;
  /** Makes what was done to names in it last. */
  sync(): Promise<void>;
}

const folderFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/**
 * On Linux a folder that is open has a path of its own, and a name below that is resolved from the open folder: what `openat` is elsewhere. So every
 * step is taken from a folder that was checked, and swapping one for a symbolic link meanwhile leads nowhere.
 */
const hasOpenPaths = process.platform === "linux" && existsSync("/proc/self/fd");

/**
 * Opens a folder below `root`, step by step; no symbolic link is followed on the way. Rejects with ENOENT where there is none, ENOTDIR or ELOOP where
 * a name is no folder or a link. `make` makes what is missing.
 *
 * @param root resolved: it may itself be below links.
 */
export async function openFolder(root: string, names: readonly string[], make = false): Promise<Folder> {
  let handle = await open(root, folderFlags);
  let path = root;
  try {
    for (const name of names) {
      const next = join(hasOpenPaths ? `/proc/self/fd/${handle.fd}` : path, name);
      if (make) await mkdir(next).catch(ignoreExisting);
      const inner = await open(next, folderFlags);
      await handle.close();
      handle = inner;
      path = join(path, name);
    }
    if (!hasOpenPaths) await requireUnmoved(path);
  } catch (error) {
    await handle.close();
    throw error;
  }
  return toFolder(handle, path);
}

function toFolder(handle: FileHandle, path: string): Folder {
  const base = hasOpenPaths ? `/proc/self/fd/${handle.fd}` : path;
  return {
    at: (name) => join(base, name),
    async sync() {
      // Windows cannot, and has no need to.
      if (process.platform !== "win32") await handle.sync();
    },
    [Symbol.asyncDispose]: () => handle.close(),
  };
}

/** Where folders have no paths of their own a link that was put in the way is at least noticed. */
async function requireUnmoved(path: string): Promise<void> {
  if ((await realpath(path)) === path) return;
  throw Object.assign(new Error("a symbolic link is in the way"), { code: "ELOOP" });
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== "EEXIST") throw error;
}
