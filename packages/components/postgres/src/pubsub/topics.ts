import type { Connection, Statement } from "../connection.js";

/** How many topics are remembered; what is more is looked up again. */
const maxKnown = 10_000;

/** The ids of topics. They are never deleted, so an id stays right. */
export interface Topics {
  /** The id of a topic, which is made if there is none. */
  idOf(keyspace: string, name: string): Promise<number>;
}

export function createTopics(connection: Pick<Connection, "schema" | "query">): Topics {
  const { schema } = connection;
  const statement: Statement = {
    name: "pubsub_topic",
    text: `
      WITH made AS (
        INSERT INTO ${schema}.pubsub_topic (keyspace, name) SELECT $1, $2
          WHERE NOT EXISTS (SELECT FROM ${schema}.pubsub_topic WHERE keyspace = $1 AND name = $2)
          ON CONFLICT (keyspace, name) DO NOTHING RETURNING id)
      SELECT id FROM made UNION ALL SELECT id FROM ${schema}.pubsub_topic WHERE keyspace = $1 AND name = $2`,
  };
  const known = new Map<string, number | Promise<number>>();

  async function find(keyspace: string, name: string): Promise<number> {
    for (;;) {
      // What it makes is made once, so that it may be sent again as a read is.
      const [row] = await connection.query(statement, [keyspace, name], { effect: "read" });
      // No row: another runtime makes it at this moment.
      if (row !== undefined) return Number(row[0]);
    }
  }

  return {
    async idOf(keyspace, name) {
      const key = `${keyspace}\n${name}`;
      const found = known.get(key);
      if (found !== undefined) return found;
      const finding = find(keyspace, name);
      known.set(key, finding);
      try {
        const id = await finding;
        known.set(key, id);
        for (const oldest of known.keys()) {
          if (known.size <= maxKnown) break;
          known.delete(oldest);
        }
        return id;
      } catch (error) {
        known.delete(key);
        throw error;
      }
    },
  };
}
