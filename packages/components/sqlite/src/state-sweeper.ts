import type { Clock, Logger } from "@mecha/component";
import type { Connection } from "./connection.js";
import { deletionLimits } from "./state-jobs.js";

/** How often to look for what has expired: while somebody watches it must be told within a second, else it only takes up space. */
const watchedMs = 250;
const unwatchedMs = 30_000;

/** Removes what has expired, in small jobs, and so makes it known to those who watch. Reads never depend on it. */
export interface Sweeper {
  /** Removes what has expired by now. */
  sweep(): Promise<void>;
  /** Looks often, until the function that is returned is called. */
  hurry(): () => void;
  close(): void;
}

/** Starts sweeping. Every process does; what one has removed the others do not find. */
export function createSweeper({ reader, writer }: Connection, options: { clock: Clock; logger: Logger }): Sweeper {
  const { clock, logger } = options;
  const { db } = reader;
  const isDue = db.prepare(`
    SELECT
      EXISTS (SELECT 1 FROM state_item WHERE expire_time <= ?1)
      OR EXISTS (SELECT 1 FROM request WHERE expire_time <= ?1)
      OR (SELECT time FROM state_deletion ORDER BY revision LIMIT 1) <= ?2 AS due
  `);
  let watchers = 0;
  let closed = false;
  let sweeping: Promise<void> | undefined;
  let asked: boolean = false;
  let cancelTimer = () => {};

  async function due(): Promise<boolean> {
    const now = clock.now();
    const row = await reader.read(() => isDue.get(now, now - deletionLimits.maxAgeMs));
    return row?.due === 1;
  }

  async function sweepAll(): Promise<void> {
    try {
      while (asked && !closed) {
        asked = false;
        if (!(await due())) continue;
        // Until nothing is due: time may pass, and more expire, while a job waits for the disk.
        asked = true;
        while ((await writer.submit("state.sweep", {})).more && !closed);
      }
    } finally {
      sweeping = undefined;
    }
  }

  function sweep(): Promise<void> {
    asked = true;
    sweeping ??= sweepAll();
    return sweeping;
  }

  function schedule(): void {
    cancelTimer();
    if (closed) return;
    cancelTimer = clock.after(watchers > 0 ? watchedMs : unwatchedMs, () => {
      // The next time is set first: the clock may have moved on by the time that the disk has answered.
      schedule();
      sweep().catch((error: unknown) => {
        if (!closed) logger.warn("cannot remove what has expired; will try again", { error: String(error) });
      });
    });
  }

  schedule();
  return {
    sweep,
    hurry() {
      watchers += 1;
      if (watchers === 1) schedule();
      return () => {
        watchers -= 1;
        if (watchers === 0) schedule();
      };
    },
    close() {
      closed = true;
      cancelTimer();
    },
  };
}
