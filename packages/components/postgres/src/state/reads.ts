import { ComponentError, type StateItem, type StateStore } from "@mecha/component";
import { Batcher } from "../batcher.js";
import { encodeTexts } from "../binary.js";
import type { Connection, Statement } from "../connection.js";
import { isPresent, itemColumns, itemWidth, rangeOf, toItem } from "./rows.js";

type GetCall = Parameters<StateStore["get"]>[0];
type GetManyCall = Parameters<StateStore["getMany"]>[0];
type ListCall = Parameters<StateStore["list"]>[0];

/** Values up to this size, in bytes, are read together with others. */
const smallValue = 64 * 1024;

/** Reads from the state table. Each is one statement, so one snapshot and one instant; gets that come together share one. */
export function createReader(connection: Connection) {
  const statements = readStatements(connection.schema);

  const gets = new Batcher<{ keyspace: string; key: string }, StateItem | undefined>({
    flights: Math.ceil(connection.size / 2),
    maxCalls: 64,
    maxWeight: 64,
    weigh: () => 1,
    async send(asked) {
      const [first] = asked;
      if (first !== undefined && asked.length === 1) return [await getOne(first)];
      const values = [encodeTexts(asked.map(({ keyspace }) => keyspace)), encodeTexts(asked.map(({ key }) => key))];
      const rows = await connection.query(statements.getTogether, values, { effect: "read" });
      const items: (StateItem | undefined)[] = asked.map(() => undefined);
      const large: Promise<void>[] = [];
      for (const row of rows) {
        const index = Number(row[itemWidth]) - 1;
        const at = asked[index];
        if (row[1] !== null || at === undefined) items[index] = toItem(row);
        else
          large.push(
            getOne(at).then((item) => {
              items[index] = item;
            }),
          );
      }
      await Promise.all(large);
      return items;
    },
    left: (reason) => reason,
  });

  async function getOne({ keyspace, key }: { keyspace: string; key: string }): Promise<StateItem | undefined> {
    const [row] = await connection.query(statements.get, [keyspace, key], { effect: "read" });
    return row && toItem(row);
  }

  return {
    get: ({ keyspace, key, signal }: GetCall): Promise<StateItem | undefined> => gets.call({ keyspace, key }, signal),

    async getMany({ keyspace, keys, maxBytes, signal }: GetManyCall): Promise<StateItem[]> {
      const values = [keyspace, encodeTexts(keys), maxBytes];
      const rows = await connection.query(statements.getMany, values, { effect: "read", signal });
      if (Number(rows[0]?.[itemWidth] ?? 0) > maxBytes) {
        throw new ComponentError(
          "TOO_LARGE",
          `the values are more than ${maxBytes} bytes together; ask for fewer keys`,
          {
            metadata: { limit_bytes: String(maxBytes) },
          },
        );
      }
      return rows.map((row) => toItem(row));
    },

    async list({ keyspace, prefix, after, limit, maxBytes, keysOnly, signal }: ListCall) {
      const { from, to } = rangeOf({ prefix });
      const values = [keyspace, from, to, after ?? "", limit, ...(keysOnly ? [] : [maxBytes])];
      const statement = keysOnly ? statements.listKeys : statements.list;
      const rows = await connection.query(statement, values, { effect: "read", signal });
      const found = Number(rows[0]?.[itemWidth] ?? 0);
      return { items: rows.map((row) => toItem(row)), more: found > rows.length };
    },

    close: () => gets.close(),
  };
}

function readStatements(schema: string) {
  const page = `FROM ${schema}.state WHERE keyspace = $1 AND key >= $2 AND key < $3 AND key > $4 AND ${isPresent} ORDER BY key LIMIT $5::int + 1`;
  return {
    get: {
      name: "state_get",
      text: `SELECT ${itemColumns()} FROM ${schema}.state WHERE keyspace = $1 AND key = $2 AND ${isPresent}`,
    },
    // A large value is left to a statement of its own: many at once would be more than anybody should hold in memory.
    getTogether: {
      name: "state_get_together",
      text: `
        SELECT ${itemColumns(`CASE WHEN octet_length(value) <= ${smallValue} THEN value END`)}, asked.number
          FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked(space, wanted, number)
          JOIN ${schema}.state ON keyspace = asked.space AND key = asked.wanted AND ${isPresent}`,
    },
    // The sizes are known without the values, which PostgreSQL keeps elsewhere when they are large and loads only where they are answered.
    getMany: {
      name: "state_get_many",
      text: `
        WITH found AS MATERIALIZED (
          SELECT asked.number, s.* FROM unnest($2::text[]) WITH ORDINALITY AS asked(wanted, number)
            JOIN ${schema}.state s ON s.keyspace = $1 AND s.key = asked.wanted AND ${isPresent}
        ), sized AS (SELECT *, sum(octet_length(value)) OVER () AS total FROM found)
        SELECT ${itemColumns("CASE WHEN total <= $3 THEN value END")}, total FROM sized ORDER BY number`,
    },
    // Up to the limit of bytes, but one item at least; `found` tells whether there is more.
    list: {
      name: "state_list",
      text: `
        WITH page AS MATERIALIZED (SELECT * ${page}), sized AS (
          SELECT *, sum(octet_length(value)) OVER (ORDER BY key) AS total, row_number() OVER (ORDER BY key) AS number,
            count(*) OVER () AS found FROM page)
        SELECT ${itemColumns()}, found FROM sized WHERE number <= $5::int AND (total <= $6 OR number = 1) ORDER BY key`,
    },
    listKeys: {
      name: "state_list_keys",
      text: `
        WITH page AS MATERIALIZED (SELECT * ${page}),
          counted AS (SELECT *, row_number() OVER (ORDER BY key) AS number, count(*) OVER () AS found FROM page)
        SELECT ${itemColumns("NULL")}, found FROM counted WHERE number <= $5::int ORDER BY key`,
    },
  } satisfies Record<string, Statement>;
}
