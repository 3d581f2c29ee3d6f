import { type FSWatcher, watch } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";

/** How long after a change is looked at: editors and ConfigMaps change several files at once. */
const settleMs = 100;

/**
 * Calls `onChange` after the content of one of `paths` (files or folders) changed, was made or went away. Their folders are watched, because
 * editors and Kubernetes replace files instead of writing them.
 */
export async function watchFiles(paths: readonly string[], onChange: () => Promise<void>): Promise<() => void> {
  let last = await contentOf(paths);
  let timer: NodeJS.Timeout | undefined;
  let looking = Promise.resolve();
  let closed = false;

  const look = async () => {
    const content = await contentOf(paths);
    if (closed || content === last) return;
    last = content;
    await onChange();
  };
  const onEvent = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      looking = looking.then(look);
    }, settleMs);
    timer.unref();
  };

  const watchers: FSWatcher[] = [];
  for (const folder of new Set(paths.flatMap((path) => [path, dirname(path)]))) {
    const isFolder = await stat(folder).then(
      (found) => found.isDirectory(),
      () => false,
    );
    if (!isFolder) continue;
    const watcher = watch(folder, { persistent: false }, onEvent);
    // The folder itself went away; what is in its parent still tells.
    watcher.on("error", onEvent);
    watchers.push(watcher);
  }
  return () => {
    closed = true;
    clearTimeout(timer);
    for (const watcher of watchers) watcher.close();
  };
}

/** All that stands in `paths`, to tell a change from a touch. */
async function contentOf(paths: readonly string[]): Promise<string> {
  const parts = await Promise.all(
    paths.map(async (path) => {
      try {
        const isFolder = (await stat(path)).isDirectory();
        const names = isFolder ? (await readdir(path)).filter((name) => /\.ya?ml$/.test(name)).sort() : [];
        const files = isFolder ? names.map((name) => join(path, name)) : [path];
        return Promise.all(files.map(async (file) => [file, await readFile(file, "utf8")]));
      } catch {
        return [path];
      }
    }),
  );
  return JSON.stringify(parts);
}
