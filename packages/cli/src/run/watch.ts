import { once } from "node:events";
import { relative, sep } from "node:path";

/** Editors and compilers change several files at once: a change is told when nothing more came for so long, in ms. */
const settleMs = 100;

/** Folders whose changes are nobody's work. */
const ignoredFolders = new Set(["node_modules", ".git"]);

/** What is watched, and who is told. */
export interface WatchOptions {
  /** Files, and folders with all that is in them; absolute. They need not be there yet. */
  paths: readonly string[];
  /** A folder that is left out: the runtime writes there. */
  except: string;
  /** Something was changed, made or removed: one of what was. */
  onChange: (path: string) => void;
  /** It cannot be watched any more, or not all of it. */
  onError: (error: Error) => void;
}

/** Calls back when something changes in `paths`; the function that is returned ends that. `node_modules` and `.git` below them are left out. */
export async function watchFiles({ paths, except, onChange, onError }: WatchOptions): Promise<() => Promise<void>> {
  const { watch } = await import("chokidar");
  const isIgnored = (path: string) => {
    if (path === except || path.startsWith(except + sep)) return true;
    const root = paths.find((root) => path === root || path.startsWith(root + sep));
    return (
      root !== undefined &&
      relative(root, path)
        .split(sep)
        .some((name) => ignoredFolders.has(name))
    );
  };
  let timer: NodeJS.Timeout | undefined;
  let changed: string | undefined;
  const watcher = watch([...paths], { ignoreInitial: true, ignored: isIgnored })
    .on("all", (_event, path) => {
      changed ??= path;
      clearTimeout(timer);
      timer = setTimeout(() => {
        const first = changed ?? path;
        changed = undefined;
        onChange(first);
      }, settleMs);
    })
    .on("error", (error) => onError(error instanceof Error ? error : new Error(String(error))));
  await once(watcher, "ready");
  return async () => {
    clearTimeout(timer);
    await watcher.close();
  };
}
