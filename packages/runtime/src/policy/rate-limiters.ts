import { randomBytes } from "node:crypto";
import { type Clock, ComponentError, type StateItem, type StateStore } from "@mecha/component";
import type { ComponentRegistry } from "../components/registry.js";
import type { RuntimeLogger } from "../telemetry/logger.js";
import { Kept } from "./kept.js";
import type { Applied } from "./policies.js";
import { burstOf, TokenBucket } from "./sections/rate-limit.js";
import type { SectionValue } from "./sections.js";
import { leftOf, noWait, startWait } from "./wait.js";

/** A limit, of one policy, for all calls or those of one caller. */
export interface RateLimiter {
  /** Takes a token: 0, or in how many ms it is worth another try. At once where that is known. */
  take(): number | Promise<number>;
}

export interface RateLimiters {
  /** @param whose the caller that has a limit of its own; "" for all */
  of(section: Applied<SectionValue<"rateLimit">>, whose: string): RateLimiter;
}

export interface RateLimitersOptions {
  readonly registry: Pick<ComponentRegistry, "use">;
  readonly namespace: string;
  readonly clock: Clock;
  readonly logger: RuntimeLogger;
}

/** Limits by buckets of this runtime's own, or shared through a state store where the policy names one. */
export function createRateLimiters(options: RateLimitersOptions): RateLimiters {
  const runtime = randomBytes(6).toString("base64url");
  const kept = new Kept<SectionValue<"rateLimit">, RateLimiter>((value, whose, policy) =>
    value.store === undefined
      ? new TokenBucket(value, options.clock)
      : new SharedBucket({ ...options, value, store: value.store, policy, whose, runtime }),
  );
  return { of: (section, whose) => kept.of(section, whose) };
}

interface SharedBucketOptions extends RateLimitersOptions {
  readonly value: SectionValue<"rateLimit">;
  readonly store: string;
  readonly policy: string;
  readonly whose: string;
  readonly runtime: string;
}

/** What the store keeps. */
interface Stored {
  readonly tokens: number;
  readonly filledAt: number;
  /** The runtimes that took of late, and when: each has an equal share while the store is away. */
  readonly takers: Readonly<Record<string, number>>;
}

/** For how long tokens are fetched at once, and how long those that were not used are good, in ms. */
const sliceMs = 100;
const sliceGoodForMs = 1_000;
/** How soon a bucket that was empty is asked again, at the soonest, in ms. */
const askAgainMs = 20;
/** How long the store may take, and how long it is left alone when it is away, in ms. */
const storeTimeoutMs = 250;
const storeAwayMs = 1_000;
/** How long a runtime counts that took a token, in ms. */
const takerMs = 10_000;
const maxTries = 4;

/**
 * A token bucket that runtimes share: the store has it, and each fetches a slice of it by compare-and-set, so that a call costs no write. While
 * the store is away each has its share of the rate.
 */
class SharedBucket implements RateLimiter {
  readonly #options: SharedBucketOptions;
  /** Tokens at hand, and until when. */
  #tokens = 0;
  #goodUntil = 0;
  /** How long the store is not asked again. */
  #pause = noWait;
  /** By how much, as far as is known, this clock is behind that of whoever filled the bucket, in ms. */
  #behindMs = 0;
  #fetching: Promise<void> | undefined;
  #takers = 1;
  /** Instead of the store, while that is away. */
  #local: TokenBucket | undefined;

  constructor(options: SharedBucketOptions) {
    this.#options = options;
  }

  take(): number | Promise<number> {
    const now = this.#options.clock.now();
    if (now >= this.#goodUntil) this.#tokens = 0;
    if (this.#tokens >= 1) {
      this.#tokens--;
      return 0;
    }
    const waitMs = leftOf(this.#pause, now);
    if (waitMs > 0) return this.#local?.take() ?? waitMs;
    this.#fetching ??= this.#fetch().finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching.then(() => this.take());
  }

  async #fetch(): Promise<void> {
    const { clock, logger, store, policy } = this.#options;
    try {
      const { taken, waitMs } = await this.#takeFromStore();
      if (this.#local !== undefined)
        logger.info({ policy, store }, `the rate limit of policy "${policy}" is shared again`);
      this.#local = undefined;
      this.#tokens = taken;
      this.#goodUntil = clock.now() + sliceGoodForMs;
      this.#pause = taken > 0 ? noWait : startWait(Math.max(askAgainMs, waitMs), clock.now());
    } catch (err) {
      this.#pause = startWait(storeAwayMs, clock.now());
      if (this.#local !== undefined) return;
      const { rate } = this.#options.value;
      const burst = Math.max(1, Math.floor(burstOf(this.#options.value) / this.#takers));
      this.#local = new TokenBucket({ rate: rate / this.#takers, burst }, clock);
      const message = `store "${store}" is away: the rate limit of policy "${policy}" is kept by each runtime alone, as one of ${this.#takers}`;
      logger.warn({ err, policy, store }, message);
    }
  }

  async #takeFromStore(): Promise<{ readonly taken: number; readonly waitMs: number }> {
    const { registry, store, namespace, policy, whose } = this.#options;
    const { live, serve } = registry.use("state", store);
    const keyspace = `${namespace}/_policy`;
    const key = `rate/${policy}/${whose}`;
    const leave = live.enter();
    try {
      for (let tries = 0; ; tries++) {
        const signal = AbortSignal.timeout(storeTimeoutMs);
        const found = await serve.get({ keyspace, key, signal });
        const { next, taken, waitMs } = this.#next(found);
        if (taken === 0) return { taken, waitMs };
        try {
          await write(serve, { keyspace, key, signal }, found, next);
          return { taken, waitMs };
        } catch (error) {
          if (!isLost(error) || tries >= maxTries) throw error;
        }
      }
    } finally {
      leave();
    }
  }

  /** What becomes of the bucket when a slice is taken of it. */
  #next(found: StateItem | undefined): { readonly next: Stored; readonly taken: number; readonly waitMs: number } {
    const { value, clock, runtime } = this.#options;
    const burst = burstOf(value);
    const stored = parse(found);
    // Clocks of several hosts: whoever is behind, or was set back, goes on from where the bucket is, so that time fills it once.
    this.#behindMs = Math.max(this.#behindMs, (stored?.filledAt ?? 0) - clock.now());
    const now = clock.now() + this.#behindMs;
    const { tokens, filledAt, takers } = stored ?? { tokens: burst, filledAt: now, takers: {} };
    const filled = Math.min(burst, tokens + ((now - filledAt) / 1000) * value.rate);
    const taken = Math.min(Math.floor(filled), Math.max(1, Math.ceil((value.rate * sliceMs) / 1000)));
    const recent = Object.entries({ ...takers, [runtime]: now }).filter(([, time]) => time > now - takerMs);
    this.#takers = recent.length;
    const next = { tokens: filled - taken, filledAt: now, takers: Object.fromEntries(recent) };
    return { next, taken, waitMs: Math.ceil(((1 - filled) / value.rate) * 1000) };
  }
}

function parse(item: StateItem | undefined): Stored | undefined {
  return item === undefined ? undefined : (JSON.parse(Buffer.from(item.value).toString()) as Stored);
}

async function write(
  serve: StateStore,
  { keyspace, key, signal }: { readonly keyspace: string; readonly key: string; readonly signal: AbortSignal },
  found: StateItem | undefined,
  next: Stored,
): Promise<void> {
  await serve.write({
    keyspace,
    signal,
    requestId: undefined,
    operations: [
      {
        type: "set",
        key,
        value: Buffer.from(JSON.stringify(next)),
        contentType: "application/json",
        ttlMs: undefined,
        precondition: found === undefined ? { type: "absent" } : { type: "etag", etag: found.etag },
      },
    ],
  });
}

/** Whether somebody else was faster. */
function isLost(error: unknown): boolean {
  return error instanceof ComponentError && ["ETAG_MISMATCH", "ALREADY_EXISTS", "NOT_EXISTS"].includes(error.reason);
}
