import type { Logger } from "./component.js";
import { ComponentError } from "./errors.js";

/** One connection, from when it is made until it is lost. */
export interface Upheld {
  /** Aborts when it is lost; the reason is the error, if there is one. */
  readonly lost: AbortSignal;
}

/** How connections are made and let go. */
export interface UpkeepOptions<Live extends Upheld> {
  /** As messages name it: "NATS at 127.0.0.1:4222". */
  readonly peer: string;
  readonly logger: Logger;
  /** One attempt; rejects with a ComponentError that says what to do. */
  open(): Promise<Live>;
  /** Lets one go. It may be lost already. */
  close(live: Live): Promise<void>;
}

/** How long calls wait for a connection that has just broken, in ms, before they fail at once. */
const graceMs = 1_000;
const backoffMs = { first: 20, longest: 2_000 };

/**
 * Keeps a connection up: it comes back by itself (backoff with jitter), for as long as the component lives. Nothing is queued while it is away,
 * beyond a short grace.
 */
export class Upkeep<Live extends Upheld> {
  readonly #options: UpkeepOptions<Live>;
  #live: Live | undefined;
  #awaySince = performance.now();
  #nextAttempt = 0;
  #lastError: ComponentError | undefined;
  #ready = Promise.withResolvers<void>();
  #stopBackoff: () => void = () => {};
  #closed: boolean = false;

  private constructor(options: UpkeepOptions<Live>) {
    this.#options = options;
  }

  /** Connects, and from then on keeps the connection up; rejects with why the first attempt failed. */
  static async start<Live extends Upheld>(options: UpkeepOptions<Live>): Promise<Upkeep<Live>> {
    const upkeep = new Upkeep(options);
    await upkeep.#open();
    void upkeep.#keepUp();
    return upkeep;
  }

  /** The connection that is up now, if there is one. */
  get live(): Live | undefined {
    return this.#live;
  }

  /** When trying again may help, in ms from now. */
  get retryAfterMs(): number {
    return Math.max(100, Math.ceil(this.#nextAttempt - performance.now()));
  }

  /** Why there is no connection now. */
  get whyAway(): string {
    return this.#closed ? "the component is closed" : (this.#lastError?.message ?? `${this.#options.peer} is away`);
  }

  /** The connection that is up, once it is; rejects with UNAVAILABLE if it does not come back within the grace. */
  async ready(signal?: AbortSignal): Promise<Live> {
    if (this.#live !== undefined) return this.#live;
    const leftMs = this.#awaySince + graceMs - performance.now();
    if (leftMs > 0 && !this.#closed) await untilAny(this.#ready.promise, leftMs, signal);
    signal?.throwIfAborted();
    if (this.#live !== undefined) return this.#live;
    const { retryAfterMs } = this;
    throw new ComponentError("COMPONENT_UNAVAILABLE", this.whyAway, { retryAfterMs, cause: this.#lastError });
  }

  /** Lets go, for good. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#stopBackoff();
    this.#ready.resolve();
    const live = this.#live;
    this.#live = undefined;
    if (live !== undefined) await this.#options.close(live);
  }

  async #keepUp(): Promise<void> {
    let delayMs = backoffMs.first;
    while (!this.#closed) {
      const live = this.#live;
      if (live !== undefined) {
        await aborted(live.lost);
        this.#lost(live);
        delayMs = backoffMs.first;
        continue;
      }
      await this.#pause(delayMs / 2 + Math.random() * (delayMs / 2));
      delayMs = Math.min(delayMs * 2, backoffMs.longest);
      if (this.#closed) return;
      try {
        await this.#open();
      } catch (error) {
        if (error instanceof ComponentError) this.#lastError = error;
        else this.#options.logger.error("connecting failed", { peer: this.#options.peer, error: String(error) });
      }
    }
  }

  async #open(): Promise<void> {
    const live = await this.#options.open();
    if (this.#closed) {
      await this.#options.close(live);
      return;
    }
    live.lost.addEventListener("abort", () => this.#lost(live), { once: true });
    if (live.lost.aborted) return;
    this.#live = live;
    const { logger, peer } = this.#options;
    if (this.#lastError !== undefined) logger.info("connected again", { peer });
    this.#lastError = undefined;
    this.#ready.resolve();
  }

  /** At once, so that no call takes a connection that is gone for one that is up. */
  #lost(live: Live): void {
    if (this.#live !== live) return;
    const { peer, logger } = this.#options;
    const { reason } = live.lost;
    this.#live = undefined;
    this.#awaySince = performance.now();
    this.#ready = Promise.withResolvers();
    this.#lastError = reason instanceof ComponentError ? reason : toAway(peer, reason);
    logger.warn("lost the connection", { peer, error: this.#lastError.message });
    void this.#options.close(live).catch(() => {}); // It is gone.
  }

  #pause(ms: number): Promise<void> {
    this.#nextAttempt = performance.now() + ms;
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#stopBackoff = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

function toAway(peer: string, cause: unknown): ComponentError {
  return new ComponentError("COMPONENT_UNAVAILABLE", `the connection to ${peer} broke`, { retryAfterMs: 100, cause });
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** Resolves when `ready` does, the time is over, or `signal` aborts. */
async function untilAny(ready: Promise<void>, ms: number, signal: AbortSignal | undefined): Promise<void> {
  const over = Promise.withResolvers<void>();
  const timer = setTimeout(over.resolve, ms);
  signal?.addEventListener("abort", () => over.resolve(), { once: true });
  await Promise.race([ready, over.promise]);
  clearTimeout(timer);
}
