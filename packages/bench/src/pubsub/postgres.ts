import type { TestServer } from "@mecha/test-servers";
import { Client, Pool } from "pg";
import { type Contestant, maxInFlight, type Queue } from "./queue.ts";

/** As many as the component's default. */
const connections = 10;
/** Claims under way at a time: while one's events are handled and acked, the other fetches. */
const claims = 2;

/** A queue in a table as one writes it by hand over `pg`: SKIP LOCKED, leases, and one NOTIFY for what was published meanwhile. */
export async function startPostgres({ url, pid }: TestServer): Promise<Contestant> {
  const pool = new Pool({ connectionString: url, max: connections });
  const listener = new Client({ connectionString: url });
  await listener.connect();
  const wakers = new Map<string, () => void>();
  listener.on("notification", ({ channel }) => wakers.get(channel)?.());
  return {
    pids: [pid],
    async open(name) {
      const table = name.replaceAll("-", "_");
      await pool.query(`
        CREATE TABLE ${table} (id bigserial PRIMARY KEY, due_time timestamptz NOT NULL DEFAULT '-infinity', payload bytea NOT NULL);
        CREATE INDEX ON ${table} (due_time, id);
      `);
      await listener.query(`LISTEN ${table}`);
      return openQueue(pool, listener, table, wakers);
    },
    async [Symbol.asyncDispose]() {
      await listener.end();
      await pool.end();
    },
  };
}

function openQueue(pool: Pool, listener: Client, table: string, wakers: Map<string, () => void>): Queue {
  let isNotifying: boolean = false;
  const notify = () => {
    if (isNotifying) return;
    isNotifying = true;
    void listener.query(`NOTIFY ${table}`).finally(() => {
      isNotifying = false;
    });
  };
  const query = (name: string, text: string, values: unknown[]) =>
    pool.query<{ id: string; payload: Buffer }>({ name: `${name} ${table}`, text, values });
  return {
    async publish(event) {
      await query("publish", `INSERT INTO ${table} (payload) VALUES ($1)`, [event]);
      notify();
    },
    async publishMany(events) {
      await query("publish many", `INSERT INTO ${table} (payload) SELECT unnest($1::bytea[])`, [events]);
      notify();
    },
    consume(handle) {
      let isOver: boolean = false;
      const sleepers = new Set<() => void>();
      const wake = () => {
        for (const sleeper of sleepers) sleeper();
        sleepers.clear();
      };
      wakers.set(table, wake);
      const claim = `
        WITH claimed AS (
          SELECT id FROM ${table} WHERE due_time <= now() ORDER BY due_time, id LIMIT ${maxInFlight / claims} FOR UPDATE SKIP LOCKED
        )
        UPDATE ${table} SET due_time = now() + '30 s' FROM claimed WHERE ${table}.id = claimed.id RETURNING ${table}.id, payload
      `;
      const run = async () => {
        while (!isOver) {
          const notified = new Promise<void>((resolve) => sleepers.add(resolve));
          const { rows } = await query("claim", claim, []);
          for (const { payload } of rows) handle(payload);
          if (rows.length > 0)
            await query("ack", `DELETE FROM ${table} WHERE id = ANY($1)`, [rows.map(({ id }) => id)]);
          else if (!isOver) await notified;
        }
      };
      const running = Promise.all(Array.from({ length: claims }, run));
      return {
        async [Symbol.asyncDispose]() {
          isOver = true;
          wake();
          await running;
        },
      };
    },
  };
}
