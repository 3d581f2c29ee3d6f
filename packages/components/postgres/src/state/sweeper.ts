import { stateLimits } from "@mecha/component";
import type { Connection, Statement } from "../connection.js";
import { longestCommit, remembersDeletions } from "./schema.js";

/** How many rows one statement of a sweep takes: short enough to be in nobody's way. */
const batch = 500;

/** How often expired items are taken out while somebody watches, and while nobody does, in ms. Reads never see them anyway. */
const watchedEveryMs = 200;
const unwatchedEveryMs = 15_000;

/** How often is looked for what need not be remembered any longer, in ms. */
const forgetEveryMs = 60_000;

export interface SweeperOptions {
  isWatched(): boolean;
  /** Called when items were taken out. */
  onExpired(): void;
}

/** Takes out what has run out of time, little by little. Several runtimes share the work: each skips what another has in hand. */
export class Sweeper {
  readonly #connection: Pick<Connection, "schema" | "query">;
  readonly #options: SweeperOptions;
  readonly #statements: ReturnType<typeof sweepStatements>;
  #timer: NodeJS.Timeout | undefined;
  #sweeping: boolean = false;
  #closed: boolean = false;
  #forgetAt = performance.now() + forgetEveryMs * Math.random();

  constructor(connection: Pick<Connection, "schema" | "query">, options: SweeperOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#statements = sweepStatements(connection.schema);
    this.#schedule();
  }

  /** Sweeps soon, and often from then on while somebody watches. */
  hurry(): void {
    if (!this.#sweeping) this.#schedule(watchedEveryMs);
  }

  /** Forgets everything that is past its time now. */
  async forget(): Promise<void> {
    await this.#repeat(this.#statements.forgetDeleted);
    await this.#repeat(this.#statements.forgetRequests);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #schedule(delayMs = this.#options.isWatched() ? watchedEveryMs : unwatchedEveryMs * (0.5 + Math.random())): void {
    clearTimeout(this.#timer);
    if (!this.#closed) this.#timer = setTimeout(() => void this.#sweep(), delayMs).unref();
  }

  async #sweep(): Promise<void> {
    this.#sweeping = true;
    try {
      if ((await this.#repeat(this.#statements.expire)) > 0) this.#options.onExpired();
      if (performance.now() >= this.#forgetAt) {
        this.#forgetAt = performance.now() + forgetEveryMs;
        await this.forget();
      }
    } catch {
      // The server is away, or busy: what was not swept waits for the next time.
    }
    this.#sweeping = false;
    this.#schedule();
  }

  /** Runs a statement until it finds less than a batch; returns how many rows there were. */
  async #repeat(statement: Statement): Promise<number> {
    for (let total = 0; ; ) {
      const [row] = await this.#connection.query(statement, [batch], { effect: "read" });
      const count = Number(row?.[0] ?? 0);
      total += count;
      if (count < batch || this.#closed) return total;
    }
  }
}

function sweepStatements(schema: string) {
  return {
    expire: {
      name: "state_expire",
      text: `
        WITH due AS MATERIALIZED (
          SELECT keyspace, key FROM ${schema}.state WHERE expires <= statement_timestamp() AND expires IS NOT NULL AND gone IS NULL
            ORDER BY expires LIMIT $1 FOR UPDATE SKIP LOCKED
        ), swept AS (
          UPDATE ${schema}.state s SET gone = 'x', value = '', expires = NULL, updated = statement_timestamp(), xid = pg_current_xact_id()
            FROM due WHERE s.keyspace = due.keyspace AND s.key = due.key RETURNING 1
        ) SELECT count(*) FROM swept`,
    },
    forgetDeleted: {
      name: "state_forget_deleted",
      text: `
        WITH old AS MATERIALIZED (
          SELECT keyspace, key FROM ${schema}.state WHERE gone IS NOT NULL AND updated < statement_timestamp() - ${remembersDeletions}
            ORDER BY updated LIMIT $1 FOR UPDATE SKIP LOCKED
        ), forgotten AS (
          DELETE FROM ${schema}.state s USING old WHERE s.keyspace = old.keyspace AND s.key = old.key RETURNING s.updated
        ), noted AS (
          UPDATE ${schema}.state_log SET forgotten = greatest(forgotten, (SELECT max(updated) FROM forgotten) + ${longestCommit})
            WHERE EXISTS (SELECT FROM forgotten)
        ) SELECT count(*) FROM forgotten`,
    },
    forgetRequests: {
      name: "state_forget_requests",
      text: `
        WITH old AS MATERIALIZED (
          SELECT keyspace, id FROM ${schema}.state_request WHERE created < statement_timestamp() - interval '${stateLimits.requestIdTtlMs} ms'
            ORDER BY created LIMIT $1 FOR UPDATE SKIP LOCKED
        ), forgotten AS (
          DELETE FROM ${schema}.state_request r USING old WHERE r.keyspace = old.keyspace AND r.id = old.id RETURNING 1
        ) SELECT count(*) FROM forgotten`,
    },
  } satisfies Record<string, Statement>;
}
