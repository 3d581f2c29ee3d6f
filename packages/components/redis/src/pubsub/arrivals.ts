import { listen } from "../notifications.js";
import type { Redis } from "../redis.js";
import { arrivedChannel } from "./layout.js";

/** How often a group for which somebody waits is looked at, should a message have been lost or a lease have ended elsewhere, in ms. */
const lookMs = 1000;

interface WaitingGroup {
  readonly waiters: Set<() => void>;
  timer: NodeJS.Timeout | undefined;
  /** When the timer fires, by performance.now(). */
  at: number;
}

/** What is said of one topic. */
export interface TopicArrivals extends Disposable {
  /** Counts what was said, so that nothing is missed between asking Redis and waiting. */
  readonly heard: number;
  /**
   * Resolves when there may be something to take for a group: something was said since `heard`, `dueInMs` are over (-1: nothing is in sight), or
   * it is time to look anyway; or when `signal` aborts.
   */
  next(groupId: string, heard: number, dueInMs: number, signal: AbortSignal): Promise<void>;
  /** Wakes another one that waits for this group: whoever was woken could not take all. */
  pass(groupId: string): void;
}

/**
 * Says when there may be something to take, for all groups of a component over one connection per server. Of the consumers of a group that
 * wait in this process one is woken at a time.
 */
export class Arrivals {
  readonly #redis: Redis;
  readonly #topics = new Map<string, { readonly topic: Topic; users: number }>();

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** Listens to a topic, by its tag, until what is returned is disposed. */
  of(tag: string): TopicArrivals {
    const shared = this.#topics.get(tag) ?? { topic: new Topic(this.#redis, tag), users: 0 };
    shared.users++;
    this.#topics.set(tag, shared);
    const { topic } = shared;
    return {
      get heard() {
        return topic.heard;
      },
      next: (...args) => topic.next(...args),
      pass: (groupId) => topic.wakeOne(groupId),
      [Symbol.dispose]: () => {
        shared.users--;
        if (shared.users > 0) return;
        this.#topics.delete(tag);
        topic.close();
      },
    };
  }
}

class Topic {
  readonly #listening: Disposable;
  readonly #groups = new Map<string, WaitingGroup>();
  heard = 0;

  constructor(redis: Redis, tag: string) {
    this.#listening = listen(redis, tag, arrivedChannel(tag), (message = "") => {
      this.heard++;
      if (message !== "") this.wakeOne(message);
      else for (const groupId of [...this.#groups.keys()]) this.wakeOne(groupId);
    });
  }

  next(groupId: string, heard: number, dueInMs: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted || heard !== this.heard) return Promise.resolve();
    const group = this.#groups.get(groupId) ?? { waiters: new Set(), timer: undefined, at: Infinity };
    this.#groups.set(groupId, group);
    return new Promise((resolve) => {
      const wake = () => {
        signal.removeEventListener("abort", wake);
        group.waiters.delete(wake);
        if (group.waiters.size === 0) this.#drop(groupId, group);
        resolve();
      };
      signal.addEventListener("abort", wake, { once: true });
      group.waiters.add(wake);
      this.#lookWithin(groupId, group, dueInMs < 0 ? lookMs : Math.min(dueInMs, lookMs));
    });
  }

  wakeOne(groupId: string): void {
    const [wake] = this.#groups.get(groupId)?.waiters ?? [];
    wake?.();
  }

  close(): void {
    this.#listening[Symbol.dispose]();
    for (const [groupId, group] of [...this.#groups]) {
      this.#drop(groupId, group);
      for (const wake of [...group.waiters]) wake();
    }
  }

  #lookWithin(groupId: string, group: WaitingGroup, ms: number): void {
    const at = performance.now() + ms;
    if (at >= group.at) return;
    clearTimeout(group.timer);
    group.at = at;
    group.timer = setTimeout(() => {
      group.at = Infinity;
      this.wakeOne(groupId);
      if (group.waiters.size > 0) this.#lookWithin(groupId, group, lookMs);
    }, ms);
  }

  #drop(groupId: string, group: WaitingGroup): void {
    clearTimeout(group.timer);
    group.at = Infinity;
    if (this.#groups.get(groupId) === group) this.#groups.delete(groupId);
  }
}
