import { listen } from "../notifications.js";
import type { Redis } from "../redis.js";
import { changedChannel, fixedKeys } from "./layout.js";
import { sweepScript } from "./write-scripts.js";

/** How often a watched keyspace is looked at, should a message have been lost. */
const lookMs = 500;
/** How often expired items of a keyspace that nobody watches are buried, at most. */
const buryMs = 1000;
const buryAtOnce = 100;

/** Somebody who waits for changes. */
export interface Watcher {
  /** Whether a change to this key is of interest. */
  matches(key: string): boolean;
  /** Something may have changed. */
  wake(): void;
  /** The component closes. */
  end(): void;
}

interface Space {
  readonly watchers: Set<Watcher>;
  listening: Disposable | undefined;
  timer: NodeJS.Timeout | undefined;
  /** When the timer fires, by performance.now(). */
  at: number;
  looking: boolean;
  /** Epoch and revision at the last look. */
  seen: string;
}

/**
 * Tells watchers when to look, and buries expired items on time. It listens to what writers say; behind that it looks at each
 * watched keyspace every {@link lookMs}, so that a lost message costs a moment and no change.
 */
export class Changes {
  readonly #redis: Redis;
  readonly #spaces = new Map<string, Space>();
  readonly #history: number;
  #closed: boolean = false;

  /** `history`: how many tombstones a keyspace keeps. */
  constructor(redis: Redis, history: number) {
    this.#redis = redis;
    this.#history = history;
  }

  /** Whether the component has closed. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Registers a watcher until it is disposed. */
  watch(tag: string, watcher: Watcher): Disposable {
    const space = this.#space(tag);
    space.watchers.add(watcher);
    space.listening ??= listen(this.#redis, tag, changedChannel(tag), (message = "") => {
      const keys = message.split("\0");
      for (const each of space.watchers) if (message === "" || keys.some((key) => each.matches(key))) each.wake();
    });
    this.#lookWithin(tag, space, 0);
    return {
      [Symbol.dispose]: () => {
        space.watchers.delete(watcher);
        if (space.watchers.size > 0) return;
        space.listening?.[Symbol.dispose]();
        space.listening = undefined;
      },
    };
  }

  /** Something in this keyspace expires that soon. */
  expect(tag: string, inMs: number): void {
    const space = this.#space(tag);
    this.#lookWithin(tag, space, space.watchers.size > 0 ? inMs : Math.max(inMs, buryMs));
  }

  close(): void {
    this.#closed = true;
    for (const { timer, listening, watchers } of this.#spaces.values()) {
      clearTimeout(timer);
      listening?.[Symbol.dispose]();
      for (const watcher of watchers) watcher.end();
    }
    this.#spaces.clear();
  }

  #space(tag: string): Space {
    let space = this.#spaces.get(tag);
    if (space === undefined) {
      space = { watchers: new Set(), listening: undefined, timer: undefined, at: Infinity, looking: false, seen: "" };
      this.#spaces.set(tag, space);
    }
    return space;
  }

  #lookWithin(tag: string, space: Space, ms: number): void {
    // Longer than this a timer cannot count; it will find nothing due and be set again.
    const delayMs = Math.min(ms, 86_400_000);
    const at = performance.now() + delayMs;
    if (at >= space.at || this.#closed) return;
    clearTimeout(space.timer);
    space.at = at;
    space.timer = setTimeout(() => void this.#look(tag, space), delayMs).unref();
  }

  async #look(tag: string, space: Space): Promise<void> {
    space.at = Infinity;
    if (space.looking) return;
    space.looking = true;
    let dueInMs = -1;
    try {
      const reply = await this.#redis.run(sweepScript, fixedKeys(tag), [String(this.#history), String(buryAtOnce)], {
        route: tag,
        repeatable: true,
      });
      const [epoch, revision, due] = reply as [string, number, number];
      dueInMs = due;
      const seen = `${epoch}-${revision}`;
      if (seen !== space.seen) for (const watcher of space.watchers) watcher.wake();
      space.seen = seen;
    } catch {
      // Redis is away or refuses; who calls it is told so, and this look is repeated.
      dueInMs = buryMs;
    }
    space.looking = false;
    if (space.watchers.size > 0) this.#lookWithin(tag, space, dueInMs < 0 ? lookMs : Math.min(dueInMs, lookMs));
    else if (dueInMs >= 0) this.#lookWithin(tag, space, Math.max(dueInMs, buryMs));
    else if (space.at === Infinity) this.#spaces.delete(tag);
  }
}
