import type { DatabaseSync } from "node:sqlite";
import type { Logger } from "@mecha/component";

/** How often the file is asked whether another process has committed; only while somebody listens. */
const pollMs = 10;

/** Tells within the process that the file has changed, whoever has changed it. */
export interface Changes {
  /**
   * Calls `listener` after commits, of this process at once and of others within 10 ms or so; several may be told as one. The function
   * that is returned ends it. A change that was committed before may be told, too.
   */
  subscribe(listener: () => void): () => void;
  /** This process has committed. */
  committed(): void;
  close(): void;
}

/**
 * Polls `PRAGMA data_version`, which reads one number of shared memory. (A file watcher on the -wal would fire before the commit is
 * visible, and miss the last one.)
 */
export function createChanges(db: DatabaseSync, logger: Logger): Changes {
  const version = db.prepare("PRAGMA data_version");
  version.setReturnArrays(true);
  const listeners = new Set<() => void>();
  let seen: unknown;
  let timer: NodeJS.Timeout | undefined;

  function tell(): void {
    for (const listener of listeners) listener();
  }

  function poll(): void {
    try {
      const [found] = Object.values(version.get() ?? {});
      if (found === seen) return;
      seen = found;
    } catch (error) {
      // Locked for a moment, or damaged: readers will tell. The next poll asks again.
      logger.debug("cannot ask the database for changes", { error: String(error) });
      return;
    }
    tell();
  }

  function stop(): void {
    clearInterval(timer);
    timer = undefined;
  }

  return {
    subscribe(listener) {
      listeners.add(listener);
      timer ??= setInterval(poll, pollMs).unref();
      return () => {
        listeners.delete(listener);
        if (listeners.size === 0) stop();
      };
    },
    committed: tell,
    close() {
      listeners.clear();
      stop();
    },
  };
}
