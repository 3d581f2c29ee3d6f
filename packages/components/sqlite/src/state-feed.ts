import { setImmediate as turn } from "node:timers/promises";
import type { Connection } from "./connection.js";
import type { KeyRange } from "./ranges.js";
import type { LogEntry, StateReads } from "./state-reads.js";

/** How many revisions are looked through at a time, before other work has its turn. */
export const logWindow = 1024;

/** Somebody who has seen everything up to `since` and waits for the next change to a range. */
interface Waiter {
  readonly keyspace: string;
  readonly range: KeyRange;
  readonly since: number;
  /** Called with the revision before the first change, or without one when there is nothing to wait for any more. */
  readonly wake: (since: number | undefined) => void;
}

/** Reads the change log once for all who wait, and wakes those whom a change concerns. */
export interface Feed {
  /** Resolves with the revision to read on from, once there may be something to read; undefined when `signal` aborts or the connection closes. */
  next(keyspace: string, range: KeyRange, since: number, signal: AbortSignal): Promise<number | undefined>;
}

/** Makes a feed; it reads only while somebody waits. */
export function createFeed(connection: Connection, reads: StateReads): Feed {
  const { reader, changes } = connection;
  const waiters = new Set<Waiter>();
  /** Up to where the log was read for all waiters. */
  let position = 0;
  let reading = false;
  let again = false;
  let unsubscribe = () => {};

  async function read(): Promise<void> {
    again = true;
    if (reading) return;
    reading = true;
    try {
      while (again && waiters.size > 0) {
        again = false;
        const head = await reader.read(reads.revision);
        while (position < head && waiters.size > 0) {
          const to = Math.min(head, position + logWindow);
          wake(await reader.read(() => reads.log(position, to)));
          position = Math.max(position, to);
          if (position < head) await turn();
        }
      }
    } catch {
      // The reader has logged it. Those who wait ask for themselves, and meet the error if it lasts.
      for (const waiter of waiters) release(waiter, waiter.since);
    } finally {
      reading = false;
    }
  }

  function wake(entries: readonly LogEntry[]): void {
    for (const { keyspace, key, revision } of entries) {
      for (const waiter of waiters) {
        if (waiter.since < revision && waiter.keyspace === keyspace && waiter.range.has(key)) {
          release(waiter, revision - 1);
        }
      }
    }
  }

  function release(waiter: Waiter, since: number | undefined): void {
    waiters.delete(waiter);
    if (waiters.size === 0) unsubscribe();
    waiter.wake(since);
  }

  connection.closing.addEventListener("abort", () => {
    for (const waiter of waiters) release(waiter, undefined);
  });

  return {
    next(keyspace, range, since, signal) {
      // The log was read beyond that already, for others: there may be something in between.
      if (since < position) return Promise.resolve(since);
      return new Promise((resolve) => {
        const onAbort = () => release(waiter, undefined);
        const wake = (revision: number | undefined) => {
          signal.removeEventListener("abort", onAbort);
          resolve(revision);
        };
        const waiter: Waiter = { keyspace, range, since, wake };
        if (signal.aborted || connection.closing.aborted) return resolve(undefined);
        signal.addEventListener("abort", onAbort);
        if (waiters.size === 0) {
          position = since;
          unsubscribe = changes.subscribe(() => void read());
        }
        waiters.add(waiter);
        // Something may have been committed since the caller looked.
        void read();
      });
    },
  };
}
