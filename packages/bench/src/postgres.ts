// What the postgres component costs over `pg`, the driver that it stands on: the same server, values, connections and callers, taking turns.
//
//   pnpm --filter @mecha/bench exec node src/postgres.ts          a table
//   pnpm --filter @mecha/bench exec node src/postgres.ts --json   the same as JSON
//
// It does not measure the network (loopback), nor the runtime in front of the component. With `pg` a set is one upsert into a table of two
// columns; the component's also keeps an etag, times, the log of changes, and holds off transactions that check the key.
import { parseArgs } from "node:util";
import { startComponent } from "@mecha/component/conformance";
import { postgres } from "@mecha/component-postgres";
import { startPostgres } from "@mecha/test-servers";
import { Pool } from "pg";
import { cpuMicros } from "./cpu.ts";
import { compare, type Figures, renderFigures, type Subject } from "./measure.ts";

const rounds = 5;
const roundMs = 700;
const keys = 10_000;
const valueBytes = 256;
const connections = 10;
const keyspace = "default/bench";

interface Row extends Figures {
  readonly operation: string;
  readonly callers: number;
  readonly subject: string;
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { json: { type: "boolean", default: false } } });
  const rows = await bench();
  console.log(values.json ? JSON.stringify(rows, undefined, 2) : render(rows));
}

async function bench(): Promise<Row[]> {
  await using server = await startPostgres();
  const component = await startComponent(postgres, { url: server.url, pool: connections });
  const { state } = component.blocks;
  if (state === undefined) throw new Error("the component serves no state");
  const pool = new Pool({ connectionString: server.url, max: connections });
  await pool.query('CREATE TABLE raw (key text COLLATE "C" PRIMARY KEY, value bytea NOT NULL)');

  const value = Buffer.alloc(valueBytes, "v");
  const keyOf = (index: number) => `order-${index % keys}`;
  const set = (key: string) =>
    ({ type: "set", key, value, contentType: "application/json", ttlMs: undefined, precondition: undefined }) as const;
  const upsert = (key: string) => ({
    name: "set",
    text: "INSERT INTO raw VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    values: [key, value],
  });
  const subjects: Record<string, [Subject, Subject]> = {
    get: [
      {
        name: "pg",
        run: (index) =>
          pool.query({ name: "get", text: "SELECT value FROM raw WHERE key = $1", values: [keyOf(index)] }),
      },
      { name: "component", run: async (index) => state.get({ keyspace, key: keyOf(index) }) },
    ],
    set: [
      { name: "pg", run: (index) => pool.query(upsert(keyOf(index))) },
      {
        name: "component",
        run: async (index) => state.write({ keyspace, requestId: undefined, operations: [set(keyOf(index))] }),
      },
    ],
    "two sets at once": [
      {
        name: "pg",
        async run(index) {
          const client = await pool.connect();
          await client.query("BEGIN");
          // In the order of the keys, or two callers would wait for each other for ever.
          for (const key of sorted(keyOf(index), keyOf(index + 1))) await client.query(upsert(key));
          await client.query("COMMIT");
          client.release();
        },
      },
      {
        name: "component",
        run: async (index) =>
          state.write({ keyspace, requestId: undefined, operations: [set(keyOf(index)), set(keyOf(index + 1))] }),
      },
    ],
  };
  for (let first = 0; first < keys; first += 100) {
    const batch = Array.from({ length: 100 }, (_, index) => keyOf(first + index));
    await state.write({ keyspace, requestId: undefined, operations: batch.map(set) });
    await Promise.all(batch.map((key) => pool.query(upsert(key))));
  }

  const rows: Row[] = [];
  const serverMicros = () => cpuMicros(server.pid);
  for (const callers of [1, 64]) {
    for (const [operation, pair] of Object.entries(subjects)) {
      const figures = await compare(pair, { callers, rounds, roundMs, serverMicros });
      for (const [subject, each] of figures) rows.push({ operation, callers, subject, ...each });
    }
  }
  await component.close();
  await pool.end();
  return rows;
}

const sorted = (...keys: string[]) => keys.sort((a, b) => (a < b ? -1 : 1));

function render(rows: readonly Row[]): string {
  const table = renderFigures(
    ["operation", "callers", "subject"],
    rows.map((row) => [[row.operation, String(row.callers), row.subject], row]),
  );
  return `${valueBytes}-byte values, ${keys} keys, ${connections} connections, durable, Node ${process.versions.node}, medians of ${rounds} rounds taking turns\n\n${table}`;
}

await main();
