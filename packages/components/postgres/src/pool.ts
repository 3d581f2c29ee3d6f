import type { Logger } from "@mecha/component";
import { type ClientConfig, Pool as PgPool, type PoolClient } from "pg";
import { backoffMs } from "./backoff.js";
import { connectError, sqlState, tooMany, unavailable } from "./errors.js";
import { Gate } from "./gate.js";

/** How many calls may wait for a connection. What is beyond it would wait longer than anybody's deadline. */
const maxWaiting = 2_000;

/** How long fewer connections are asked for after the server refused one more, in ms. */
const fewerForMs = 5_000;

/** How many times a call tries to get a connection while others of the pool work. */
const maxAttempts = 5;

export interface PoolOptions {
  readonly client: ClientConfig;
  readonly size: number;
  /** After how long a connection that does not answer is cut, in ms. */
  readonly answerTimeoutMs: number;
  /** Names the server in errors. */
  readonly server: { address: string; database: string; user: string };
  readonly logger: Logger;
  /** Makes a new connection ready, or rejects when it will not do. */
  prepare(client: PoolClient): Promise<void>;
}

/**
 * The connections. While the server is away nobody waits for it: calls are refused at once, and one probe at a time, with backoff, finds
 * out when it is back.
 */
export class Pool {
  readonly #options: PoolOptions;
  readonly #pool: PgPool;
  readonly #gate: Gate;
  readonly #established = new Set<PoolClient>();
  /** The connections in use, and since when. */
  readonly #busy = new Map<PoolClient, number>();
  readonly #watchdog: NodeJS.Timeout;
  readonly #onReturn = new Set<() => void>();
  #away: { readonly cause: unknown; retryAt: number } | undefined;
  #probe: NodeJS.Timeout | undefined;
  #widen: NodeJS.Timeout | undefined;
  #closed: boolean = false;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#gate = new Gate(options.size, maxWaiting, () => tooMany(maxWaiting));
    this.#pool = new PgPool({
      ...options.client,
      max: options.size,
      idleTimeoutMillis: 60_000,
      // A connection for ever would never see a name that leads to another server after a failover.
      maxLifetimeSeconds: 1_800,
      verify: (client, done) => {
        // A connection that breaks while it is in use tells its query; without a listener it would end the process as well.
        client.on("error", () => {});
        // The server may hang between the log-in and its first answer.
        const giveUp = setTimeout(() => client.connection.stream.destroy(), options.client.connectionTimeoutMillis);
        options
          .prepare(client)
          .then(
            () => done(),
            (error: unknown) => done(error instanceof Error ? error : new Error(String(error))),
          )
          .finally(() => clearTimeout(giveUp));
      },
    });
    this.#pool.on("error", (_error, client) => this.#established.delete(client));
    this.#pool.on("remove", (client) => this.#established.delete(client));
    this.#watchdog = setInterval(() => this.#cutTheSilent(), Math.min(250, options.answerTimeoutMs / 4)).unref();
  }

  /** Calls back whenever the server is back after it was away. */
  onReturn(callback: () => void): void {
    this.#onReturn.add(callback);
  }

  /** A connection of one's own until `release`. Rejects with COMPONENT_UNAVAILABLE, or the signal's reason. */
  async acquire(signal?: AbortSignal): Promise<PoolClient> {
    for (let attempt = 1; ; attempt++) {
      signal?.throwIfAborted();
      if (this.#away !== undefined) throw this.#refusal();
      const waiting = this.#gate.enter(signal);
      if (waiting !== undefined) await waiting;
      try {
        const client = await this.#pool.connect();
        this.#established.add(client);
        this.#busy.set(client, performance.now());
        return client;
      } catch (error) {
        this.#gate.leave();
        if (this.#closed) throw unavailable("the component is closed", error);
        // The server has no connection left, but others of this pool may be on their way.
        const isFull = sqlState(error) === "53300" && this.#pool.totalCount > 0;
        // Somebody ended this very connection while it was made, which says nothing of the server.
        const wasEnded = sqlState(error) === "57P01" && attempt < maxAttempts;
        if (this.#established.size === 0 && !isFull && !wasEnded) {
          this.#goAway(error);
        } else if (attempt < maxAttempts) {
          if (!wasEnded) this.#useFewer();
          continue;
        }
        throw connectError(error, this.#options.server);
      }
    }
  }

  /** Gives a connection back; one that is broken is thrown away. */
  release(client: PoolClient, isBroken: boolean): void {
    this.#busy.delete(client);
    if (isBroken) this.#established.delete(client);
    client.release(isBroken);
    this.#gate.leave();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#watchdog);
    clearTimeout(this.#probe);
    clearTimeout(this.#widen);
    this.#gate.refuseAll(() => unavailable("the component is closed"));
    await this.#pool.end();
  }

  #refusal() {
    const { cause, retryAt } = this.#away ?? { cause: undefined, retryAt: 0 };
    const error = connectError(cause, this.#options.server);
    return unavailable(error.message, cause, Math.max(50, retryAt - performance.now()));
  }

  /** The server takes no more connections than there are: make do with them for a while. */
  #useFewer(): void {
    this.#gate.limit = Math.max(1, this.#pool.totalCount);
    clearTimeout(this.#widen);
    this.#widen = setTimeout(() => {
      this.#gate.limit = this.#options.size;
    }, fewerForMs).unref();
  }

  #goAway(cause: unknown): void {
    if (this.#away !== undefined) return;
    this.#options.logger.warn("PostgreSQL is away", { error: connectError(cause, this.#options.server).message });
    this.#probeAfter(cause, 0);
    this.#gate.refuseAll(() => this.#refusal());
  }

  #probeAfter(cause: unknown, attempt: number): void {
    const delayMs = backoffMs(attempt);
    this.#away = { cause, retryAt: performance.now() + delayMs };
    this.#probe = setTimeout(async () => {
      try {
        const client = await this.#pool.connect();
        this.#established.add(client);
        client.release();
      } catch (error) {
        if (!this.#closed) this.#probeAfter(error, attempt + 1);
        return;
      }
      this.#away = undefined;
      this.#options.logger.info("PostgreSQL is back");
      for (const callback of this.#onReturn) callback();
    }, delayMs).unref();
  }

  /** A server that hangs, or a network that swallows, leaves a connection open and silent. */
  #cutTheSilent(): void {
    const oldest = performance.now() - this.#options.answerTimeoutMs;
    for (const [client, since] of this.#busy) if (since < oldest) client.connection.stream.destroy();
  }
}
