import { type Clock, systemClock } from "../clock.js";
import type { AppCall, Discovery, Instance } from "./interface.js";

/** How soon a look follows another, in ms: what changes at the same time is looked at together. */
const restMs = 20;
/** How much earlier than it must be an app is looked at, in ms, if others are looked at anyway. */
const gatherMs = 1_000;
/** How often every watched app is looked at, in ms, should what others said have been lost. */
const lookEveryMs = 30_000;
/** How soon a look that failed is repeated, in ms. */
const retryMs = 500;
/** A look that takes longer says that the server hung, in ms: those who renew may have had to wait as well. */
const slowMs = 500;
/** How long after the server was away nobody is believed to be gone, in ms: so long runtimes may take to renew or to register anew. */
const graceMs = 4_000;

/** What a look finds of an app. */
export interface FoundApp {
  /** As `resolve` gives them: by id; undefined if there is no such app. */
  readonly instances: readonly Instance[] | undefined;
  /** How soon that changes though nobody writes anything (a lease ends, or the app is forgotten), in ms; undefined if it does not. */
  readonly endsInMs: number | undefined;
}

export interface AppWatchesOptions {
  /** Looks apps up, each once, with one question; what it finds is in their order. */
  find(apps: readonly AppCall[]): Promise<readonly FoundApp[]>;
  /** Told of a look that failed, the first of several in a row: what was known holds, and it is tried again. */
  onFailure(error: unknown): void;
  /** Its `now` must not jump. Default: one that the machine's time does not touch. */
  readonly clock?: Clock;
}

interface Watcher {
  readonly call: AppCall;
  readonly key: string;
  /** Something may have changed since it was looked at last. */
  isStale: boolean;
  /** When it must be looked at again. */
  dueAt: number;
  /** What is known of the app; undefined before it was looked at. */
  known: Pick<FoundApp, "instances"> | undefined;
  failure: { readonly error: unknown } | undefined;
  wake(): void;
}

const steadyClock: Clock = { now: () => performance.now(), after: systemClock.after };

/**
 * The watches of a discovery whose server says that something has changed, but not what, and says nothing when a lease ends. One look finds out
 * for all watches that it concerns. Between looks nothing is asked: the next one comes when somebody says so or when a lease ends.
 *
 * A server that was away, or hung, may have missed the renewals, or have lost the leases, of runtimes that are as well as ever. So after it is back those
 * who are missing are kept for a moment; they register anew.
 */
export class AppWatches {
  readonly #options: AppWatchesOptions;
  readonly #clock: Clock;
  readonly #watchers = new Set<Watcher>();
  #looking: boolean = false;
  #cancelTimer: () => void = () => {};
  #timerAt = Number.POSITIVE_INFINITY;
  /** No look before. */
  #restUntil = 0;
  /** Until then nobody is believed to be gone. */
  #graceUntil = 0;
  #isAway: boolean = false;
  #closed: boolean = false;

  constructor(options: AppWatchesOptions) {
    this.#options = options;
    this.#clock = options.clock ?? steadyClock;
  }

  /** As `Discovery.watch`. Throws if the very first look fails. */
  async *watch({ namespace, app, signal }: Parameters<Discovery["watch"]>[0]): ReturnType<Discovery["watch"]> {
    if (signal.aborted || this.#closed) return;
    const call = { namespace, app };
    const watcher: Watcher = {
      call,
      key: keyOf(call),
      isStale: true,
      dueAt: 0,
      known: undefined,
      failure: undefined,
      wake() {},
    };
    this.#watchers.add(watcher);
    const onAbort = () => watcher.wake();
    signal.addEventListener("abort", onAbort, { once: true });
    let told: string | undefined;
    try {
      this.#schedule();
      while (!signal.aborted && !this.#closed) {
        const woken = new Promise<void>((resolve) => {
          watcher.wake = resolve;
        });
        const { known, failure } = watcher;
        if (known === undefined && failure !== undefined) throw failure.error;
        // As text, an unknown app ("null") differs from one without instances ("[]").
        const state = known && JSON.stringify(known.instances ?? null);
        if (known !== undefined && state !== told) {
          told = state;
          yield known.instances;
        }
        await woken;
      }
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#watchers.delete(watcher);
    }
  }

  /** Something of this app has changed; or of any, if it is left out. */
  changed(call?: AppCall): void {
    const key = call && keyOf(call);
    for (const watcher of this.#watchers) if (key === undefined || key === watcher.key) watcher.isStale = true;
    this.#schedule();
  }

  /** The server was away, and may have missed or lost anything. */
  missed(): void {
    this.#restUntil = 0;
    this.#beGraceful();
    this.changed();
  }

  /** Ends every watch. */
  close(): void {
    this.#closed = true;
    this.#cancelTimer();
    for (const watcher of this.#watchers) watcher.wake();
  }

  /** Never longer than once, or a connection that breaks again and again would keep the dead for ever. */
  #beGraceful(): void {
    const now = this.#clock.now();
    if (now >= this.#graceUntil) this.#graceUntil = now + graceMs;
  }

  #schedule(): void {
    if (this.#closed || this.#looking) return;
    let at = Number.POSITIVE_INFINITY;
    for (const { isStale, dueAt } of this.#watchers) at = Math.min(at, isStale ? 0 : dueAt);
    at = Math.max(at, this.#restUntil);
    if (at >= this.#timerAt) return;
    this.#cancelTimer();
    this.#timerAt = at;
    this.#cancelTimer = this.#clock.after(Math.max(0, at - this.#clock.now()), () => void this.#look());
  }

  async #look(): Promise<void> {
    this.#timerAt = Number.POSITIVE_INFINITY;
    const began = this.#clock.now();
    const asked = [...this.#watchers].filter(({ isStale, dueAt }) => isStale || dueAt <= began + gatherMs);
    if (asked.length === 0) return this.#schedule();
    this.#looking = true;
    for (const watcher of asked) watcher.isStale = false;
    const calls = new Map(asked.map(({ key, call }) => [key, call]));
    try {
      const found = await this.#options.find([...calls.values()]);
      if (this.#isAway || this.#clock.now() - began > slowMs) this.#beGraceful();
      this.#isAway = false;
      const byKey = new Map([...calls.keys()].map((key, index) => [key, found[index]]));
      for (const watcher of asked) this.#settle(watcher, byKey.get(watcher.key));
      this.#restUntil = this.#clock.now() + restMs;
    } catch (error) {
      if (!this.#isAway && !this.#closed) this.#options.onFailure(error);
      this.#isAway = true;
      for (const watcher of asked) {
        watcher.isStale = true;
        watcher.failure = { error };
        watcher.wake();
      }
      this.#restUntil = this.#clock.now() + retryMs;
    }
    this.#looking = false;
    this.#schedule();
  }

  #settle(watcher: Watcher, found: FoundApp = { instances: undefined, endsInMs: undefined }): void {
    const now = this.#clock.now();
    const leftMs = this.#graceUntil - now;
    const instances = leftMs > 0 ? keepMissing(watcher.known?.instances, found.instances) : found.instances;
    const heldMs = instances === found.instances ? lookEveryMs : leftMs;
    watcher.dueAt = now + Math.min(found.endsInMs ?? lookEveryMs, heldMs, lookEveryMs);
    watcher.known = { instances };
    watcher.failure = undefined;
    watcher.wake();
  }
}

/** What is found, and beside it those that were known before; `found` itself if none of them is missing. */
function keepMissing(
  known: readonly Instance[] | undefined,
  found: readonly Instance[] | undefined,
): readonly Instance[] | undefined {
  if (known === undefined) return found;
  const ids = new Set(found?.map(({ id }) => id));
  const missing = known.filter(({ id }) => !ids.has(id));
  if (found !== undefined && missing.length === 0) return found;
  return [...(found ?? []), ...missing].sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** No namespace has a slash in it. */
const keyOf = ({ namespace, app }: AppCall) => `${namespace}/${app}`;
