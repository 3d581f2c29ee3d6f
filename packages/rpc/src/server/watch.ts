import { Bag, type Bagged } from "./bag.js";

/** Something that may take only so long. */
export interface Watched extends Bagged {
  /** Set by the watch. */
  watchedUntil: number;
  /** Called once, when the time is over. */
  expire(): void;
}

/** Deadlines for many short things at next to no cost: one timer looks at all of them now and then, so they may end a bit late. */
export interface Watch {
  add(item: Watched, withinMs: number): void;
  delete(item: Watched): void;
  close(): void;
}

/** Makes a watch that looks this often. */
export function createWatch(intervalMs: number): Watch {
  const items = new Bag<Watched>();
  let now = performance.now();
  const timer = setInterval(() => {
    now = performance.now();
    for (const item of items.list()) {
      // Another one's end may have taken it out.
      if (item.bagPlace === -1 || item.watchedUntil > now) continue;
      items.delete(item);
      item.expire();
    }
  }, intervalMs);
  timer.unref();
  return {
    add(item, withinMs) {
      // `now` is up to an interval old: nothing may expire early for that.
      item.watchedUntil = now + withinMs + intervalMs;
      items.add(item);
    },
    delete: (item) => items.delete(item),
    close: () => clearInterval(timer),
  };
}
