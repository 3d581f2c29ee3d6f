import { ComponentError, type Logger } from "@mecha/component";
import type { Connection } from "../connection.js";

/** How many rows one statement looks at: short enough to be in nobody's way. */
const batch = 1_000;

/** How often is looked for what may be forgotten, in ms, a half more or less at random. */
const sweepEveryMs = 30_000;

/** How many statements in a row may find nothing but what is needed still before a topic has to wait for the next sweep. */
const vainLimit = 10;

export interface RetentionOptions {
  readonly retentionMs: number;
  readonly logger: Logger;
}

/**
 * Forgets events that are old and that no group needs, and ids that need not be remembered: little by little, and never in anybody's way.
 * Several runtimes share the work: each skips what another has in hand.
 */
export class Retention {
  readonly #connection: Pick<Connection, "query">;
  readonly #options: RetentionOptions;
  readonly #statements: ReturnType<typeof retentionStatements>;
  /** Where the last sweep of a topic rested, so that events which are needed for long do not hide those after them. */
  readonly #rests = new Map<string, string>();
  #timer: NodeJS.Timeout | undefined;
  #closed: boolean = false;

  constructor(connection: Pick<Connection, "query" | "schema">, options: RetentionOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#statements = retentionStatements(connection.schema);
    this.#schedule();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  /** Forgets what may be forgotten now. */
  async sweep(): Promise<void> {
    for (let count = batch; count === batch && !this.#closed; ) {
      const [row] = await this.#connection.query(this.#statements.forgetSeen, [batch], { effect: "read" });
      count = Number(row?.[0] ?? 0);
    }
    const values = [this.#options.retentionMs];
    const topics = await this.#connection.query(this.#statements.oldTopics, values, { effect: "read" });
    for (const [topic] of topics) if (topic != null && !this.#closed) await this.#sweepTopic(topic);
  }

  async #sweepTopic(topic: string): Promise<void> {
    for (let vain = 0; vain < vainLimit && !this.#closed; ) {
      const values = [topic, this.#rests.get(topic) ?? "0", batch, this.#options.retentionMs];
      const [row] = await this.#connection.query(this.#statements.forgetEvents, values, { effect: "read" });
      const [removed, last] = row ?? [];
      if (last == null) {
        // All that is old was looked at; the next sweep begins anew.
        this.#rests.delete(topic);
        return;
      }
      this.#rests.set(topic, last);
      if (removed === "0") vain++;
    }
  }

  #schedule(): void {
    if (this.#closed) return;
    this.#timer = setTimeout(
      async () => {
        try {
          await this.sweep();
        } catch (error) {
          const isAway = error instanceof ComponentError && error.reason === "COMPONENT_UNAVAILABLE";
          if (!this.#closed && !isAway) {
            this.#options.logger.warn("cannot forget old events; will try again", { error: String(error) });
          }
        }
        this.#schedule();
      },
      sweepEveryMs * (0.5 + Math.random()),
    ).unref();
  }
}

function retentionStatements(schema: string) {
  const isOld = "published < statement_timestamp() - $MS * interval '1 ms'";
  return {
    forgetSeen: {
      name: "pubsub_forget_seen",
      text: `
        WITH old AS MATERIALIZED (
          SELECT digest FROM ${schema}.pubsub_seen WHERE expires <= statement_timestamp() ORDER BY expires LIMIT $1 FOR UPDATE SKIP LOCKED
        ), forgotten AS (
          DELETE FROM ${schema}.pubsub_seen s USING old WHERE s.digest = old.digest RETURNING 1
        ) SELECT count(*) FROM forgotten`,
    },
    oldTopics: {
      name: "pubsub_old_topics",
      text: `
        SELECT t.id FROM ${schema}.pubsub_topic t
          WHERE (SELECT ${isOld.replace("$MS", "$1")} FROM ${schema}.pubsub_event e WHERE e.topic = t.id ORDER BY e.seq LIMIT 1)`,
    },
    // What every group has looked at and none has in hand, or what expired before it was looked at.
    forgetEvents: {
      name: "pubsub_forget_events",
      text: `
        WITH looked_at AS MATERIALIZED (
          SELECT e.seq, e.expires, ${isOld.replace("$MS", "$4")} AS is_old FROM ${schema}.pubsub_event e
            WHERE e.topic = $1 AND e.seq > $2::bigint ORDER BY e.seq LIMIT $3
        ), seen AS MATERIALIZED (
          SELECT coalesce(min(g.cursor), 9223372036854775807) AS upto FROM ${schema}.pubsub_group g WHERE g.topic = $1
        ), removable AS MATERIALIZED (
          SELECT e.seq FROM looked_at l CROSS JOIN seen JOIN ${schema}.pubsub_event e ON e.topic = $1 AND e.seq = l.seq
            WHERE l.is_old AND (l.seq <= seen.upto OR l.expires <= statement_timestamp())
              AND (
                SELECT d.seq FROM ${schema}.pubsub_group g JOIN ${schema}.pubsub_delivery d ON d.group_id = g.id AND d.seq = l.seq
                  WHERE g.topic = $1 LIMIT 1
              ) IS NULL
            FOR UPDATE OF e SKIP LOCKED
        ), removed AS (
          DELETE FROM ${schema}.pubsub_event e USING removable r WHERE e.topic = $1 AND e.seq = r.seq RETURNING 1
        )
        SELECT (SELECT count(*) FROM removed), (SELECT max(seq) FROM looked_at WHERE is_old)`,
    },
  };
}
