import type { Clock } from "@mecha/component";

/** Options of {@link createBatcher}. */
export interface BatcherOptions<Item> {
  readonly maxItems: number;
  /** One item is always allowed. */
  readonly maxBytes: number;
  /** How long a batch that is not full waits for more, in ms. */
  readonly maxWaitMs: number;
  /** Batches that are being sent at a time. */
  readonly concurrency: number;
  readonly clock: Clock;
  sizeOf(item: Item): number;
  /** Whether an item goes in a batch of its own. */
  isAlone(item: Item): boolean;
  /** Sends a batch to a path; never rejects. */
  send(path: string, items: readonly Item[]): Promise<void>;
}

/** Gathers items by where they go. While all that may be sent at a time is, what waits gathers in larger batches. */
export interface Batcher<Item> {
  add(path: string, item: Item): void;
  /** Resolves when a batch could be sent at once. */
  room(): Promise<void> | void;
  /** Takes out what is not being sent yet. */
  clear(): Item[];
}

interface Batch<Item> {
  readonly path: string;
  readonly items: Item[];
  bytes: number;
  /** Nothing more goes in. */
  isFull: boolean;
  /** When it is sent even if it is not full, ms since the epoch. */
  readonly dueTime: number;
}

export function createBatcher<Item>(options: BatcherOptions<Item>): Batcher<Item> {
  const { maxItems, maxBytes, maxWaitMs, concurrency, clock } = options;
  /** In the order in which they were begun. */
  const waiting = new Set<Batch<Item>>();
  /** The one of each path that takes more. */
  const open = new Map<string, Batch<Item>>();
  let sending = 0;
  let isScheduled: boolean = false;
  let cancelTimer: (() => void) | undefined;
  let wake = () => {};

  const close = (batch: Batch<Item>) => {
    batch.isFull = true;
    if (open.get(batch.path) === batch) open.delete(batch.path);
  };

  const begin = (path: string, isAlone: boolean): Batch<Item> => {
    const batch: Batch<Item> = { path, items: [], bytes: 0, isFull: isAlone, dueTime: clock.now() + maxWaitMs };
    waiting.add(batch);
    if (!isAlone) open.set(path, batch);
    return batch;
  };

  const start = async (batch: Batch<Item>) => {
    waiting.delete(batch);
    close(batch);
    sending += 1;
    await options.send(batch.path, batch.items);
    sending -= 1;
    wake();
    pump();
  };

  /** Sends what is full or has waited long enough, as far as there is room. */
  const pump = () => {
    isScheduled = false;
    cancelTimer?.();
    cancelTimer = undefined;
    const now = clock.now();
    let earliest = Number.POSITIVE_INFINITY;
    for (const batch of waiting) {
      if (sending >= concurrency) return;
      if (batch.isFull || batch.dueTime <= now) void start(batch);
      else earliest = Math.min(earliest, batch.dueTime);
    }
    if (earliest < Number.POSITIVE_INFINITY) cancelTimer = clock.after(earliest - now, pump);
  };

  return {
    add(path, item) {
      const isAlone = maxItems === 1 || options.isAlone(item);
      const size = options.sizeOf(item);
      let batch = isAlone ? begin(path, true) : (open.get(path) ?? begin(path, false));
      if (batch.items.length > 0 && batch.bytes + size > maxBytes) {
        close(batch);
        batch = begin(path, false);
      }
      batch.items.push(item);
      batch.bytes += size;
      if (batch.items.length >= maxItems || batch.bytes >= maxBytes) close(batch);
      // After this turn, so that what comes together goes together.
      if (!isScheduled) queueMicrotask(pump);
      isScheduled = true;
    },
    room() {
      pump();
      if (sending < concurrency) return;
      return new Promise((resolve) => {
        wake = resolve;
      });
    },
    clear() {
      const items = [...waiting].flatMap((batch) => batch.items);
      waiting.clear();
      open.clear();
      cancelTimer?.();
      return items;
    },
  };
}
