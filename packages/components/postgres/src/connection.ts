import type { ComponentContext, Durability } from "@mecha/component";
import { Client, type PoolClient } from "pg";
import { clientOptions, type PostgresConfig } from "./config.js";
import {
  breaksConnection,
  connectError,
  type Effect,
  isTransient,
  statementError,
  unavailable,
  unknown,
} from "./errors.js";
import { Notifications } from "./notifications.js";
import { Pool } from "./pool.js";
import { migrate, requireKnownSchema } from "./schema.js";
import { openSession } from "./session.js";

/** A statement that every connection prepares once, under its name. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

/** What a parameter may be; a Buffer travels in PostgreSQL's binary format. */
export type Value = string | number | Buffer | null;

/** What one column holds, in PostgreSQL's text format. */
export type Row = readonly (string | null)[];

export interface QueryOptions {
  readonly effect: Effect;
  readonly signal?: AbortSignal | undefined;
}

/** One PostgreSQL server, as the blocks see it. */
export interface Connection {
  readonly schema: string;
  /** How many statements can be under way at a time. */
  readonly size: number;
  /** What an answered commit survives, by the settings that the last connection found. */
  readonly durability: Durability;
  readonly notifications: Notifications;
  /** Runs one statement, which is a transaction of its own. Failures are ComponentErrors, or the signal's reason. */
  query(statement: Statement, values: readonly Value[], options: QueryOptions): Promise<Row[]>;
  /** Calls back whenever the server is back after it was away. */
  onReturn(callback: () => void): void;
  health(signal: AbortSignal): Promise<void>;
  /** Waits for what is in flight, then lets everything go. */
  close(): Promise<void>;
}

/** How many times a statement is sent at the most when it did nothing, as after a lost session. */
const maxAttempts = 3;

/** How much longer than the server's own timeout a connection may be silent before it is cut, in ms. */
const graceMs = 1_000;

/** All values arrive as text. */
const asText = { getTypeParser: () => (text: string) => text };

const ping: Statement = { name: "ping", text: "SELECT 1" };
const send: Statement = { name: "notify", text: "SELECT pg_notify($1, $2)" };

/** Connects, brings the schema up to date, and resolves when everything can be served. */
export async function connect(config: PostgresConfig, context: ComponentContext): Promise<Connection> {
  const client = clientOptions(config, context.name);
  const connection = new PostgresConnection(config, context, client, await open(config, context, client));
  return connection;
}

/** Migrates over a connection of its own; gives back what that found. */
async function open(
  { schema, statementTimeoutMs }: PostgresConfig,
  { signal }: ComponentContext,
  options: ReturnType<typeof clientOptions>,
): Promise<Durability> {
  const client = new Client(options);
  client.on("error", () => {});
  const work = async () => {
    try {
      await client.connect();
      const { durability } = await openSession(client, statementTimeoutMs);
      await migrate(client, schema);
      return durability;
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "42501") throw lacksRights(client, schema, error);
      throw connectError(error, serverOf(client));
    } finally {
      client.end().catch(() => {});
    }
  };
  return orAbort(work(), signal, () => client.connection.stream.destroy());
}

function lacksRights({ user, database }: Client, schema: string, cause: unknown) {
  return unavailable(
    `user "${user}" may not create or change schema "${schema}"; as its owner or a superuser: CREATE SCHEMA IF NOT EXISTS ${schema} AUTHORIZATION "${user}" (in database "${database}")`,
    cause,
  );
}

/** What an error may say of a server: no password. */
function serverOf({ host, port, user, database }: Client) {
  return { address: `${host}:${port}`, user: user ?? "", database: database ?? "" };
}

class PostgresConnection implements Connection {
  readonly schema: string;
  readonly size: number;
  readonly notifications: Notifications;
  readonly #pool: Pool;
  #durability: Durability;
  /** Calls in flight, and who waits for them to end. */
  #calls = 0;
  #idle: (() => void) | undefined;
  #closed: boolean = false;

  constructor(
    config: PostgresConfig,
    context: ComponentContext,
    client: ReturnType<typeof clientOptions>,
    durability: Durability,
  ) {
    const { schema, statementTimeoutMs } = config;
    this.schema = schema;
    this.size = config.pool;
    this.#durability = durability;
    this.#pool = new Pool({
      client,
      size: config.pool,
      answerTimeoutMs: statementTimeoutMs + graceMs,
      server: serverOf(new Client(client)),
      logger: context.logger,
      prepare: async (fresh) => {
        const session = await openSession(fresh, statementTimeoutMs);
        await requireKnownSchema(fresh, schema);
        if (session.durability !== this.#durability) {
          context.logger.warn("the server's durability changed", { from: this.#durability, to: session.durability });
        }
        this.#durability = session.durability;
      },
    });
    this.notifications = new Notifications(client, (channel, sender) =>
      this.query(send, [channel, sender], { effect: "read" }),
    );
  }

  get durability(): Durability {
    return this.#durability;
  }

  onReturn(callback: () => void): void {
    this.#pool.onReturn(callback);
  }

  async query(statement: Statement, values: readonly Value[], { effect, signal }: QueryOptions): Promise<Row[]> {
    if (this.#closed) throw unavailable("the component is closed");
    signal?.throwIfAborted();
    const progress = { isSent: false };
    this.#calls++;
    const work = this.#run(statement, values, effect, signal, progress).finally(() => {
      if (--this.#calls === 0) this.#idle?.();
    });
    if (signal === undefined) return work;
    // The caller need not wait for a server that does not answer; the statement goes on, and its connection is free when it ends.
    return orAbort(work, signal, () => (effect === "write" && progress.isSent ? unknown(signal.reason) : undefined));
  }

  async health(signal: AbortSignal): Promise<void> {
    await this.query(ping, [], { effect: "read", signal });
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#calls > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
    await Promise.all([this.notifications.close(), this.#pool.close()]);
  }

  async #run(
    statement: Statement,
    values: readonly Value[],
    effect: Effect,
    signal: AbortSignal | undefined,
    progress: { isSent: boolean },
  ): Promise<Row[]> {
    for (let attempt = 1; ; attempt++) {
      const client = await this.#pool.acquire(signal);
      let isBroken = false;
      try {
        signal?.throwIfAborted();
        progress.isSent = true;
        return await execute(client, statement, values);
      } catch (error) {
        if (signal?.aborted && error === signal.reason) throw error;
        isBroken = breaksConnection(error);
        if (attempt === maxAttempts || !isTransient(error, effect)) throw statementError(error, effect);
      } finally {
        this.#pool.release(client, isBroken);
      }
    }
  }
}

function execute(client: PoolClient, { name, text }: Statement, values: readonly Value[]): Promise<Row[]> {
  return new Promise((resolve, reject) => {
    const query = { name, text, values: [...values], rowMode: "array" as const, types: asText };
    client.query<string[]>(query, (error, result) => (error ? reject(error) : resolve(result.rows)));
  });
}

/** The work's outcome, or the signal's reason as soon as it aborts (or what `onAbort` returns instead). */
function orAbort<T>(work: Promise<T>, signal: AbortSignal, onAbort: () => unknown): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      const error = onAbort();
      reject(error instanceof Error ? error : signal.reason);
    };
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
