import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type Contestant, maxInFlight, type Queue } from "./queue.ts";

const leaseMs = 30_000;

/** A queue in a table as one writes it by hand over node:sqlite: durable, leased, in the app's own process. */
export function startSqlite(): Contestant {
  const folder = mkdtempSync(join(tmpdir(), "mecha-bench-"));
  const db = new DatabaseSync(join(folder, "queue.db"));
  db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
  return {
    pids: [],
    async open(name) {
      return openQueue(db, name);
    },
    async [Symbol.asyncDispose]() {
      db.close();
      rmSync(folder, { recursive: true });
    },
  };
}

function openQueue(db: DatabaseSync, name: string): Queue {
  const table = `"queue_${name}"`;
  db.exec(`
    CREATE TABLE ${table} (id INTEGER PRIMARY KEY AUTOINCREMENT, due_time INTEGER NOT NULL, payload BLOB NOT NULL);
    CREATE INDEX ${`"due_${name}"`} ON ${table} (due_time, id);
  `);
  const add = db.prepare(`INSERT INTO ${table} (due_time, payload) VALUES (0, ?)`);
  const claim = db.prepare(`
    UPDATE ${table} SET due_time = ? WHERE id IN (SELECT id FROM ${table} WHERE due_time <= ? ORDER BY due_time, id LIMIT ?)
    RETURNING id, payload
  `);
  const remove = db.prepare(`DELETE FROM ${table} WHERE id = ?`);
  const [begin, commit] = [db.prepare("BEGIN IMMEDIATE"), db.prepare("COMMIT")];
  let wake = () => {};

  const inOne = (work: () => void) => {
    begin.run();
    work();
    commit.run();
  };

  return {
    publish(event) {
      add.run(event);
      wake();
    },
    publishMany(events) {
      inOne(() => {
        for (const event of events) add.run(event);
      });
      wake();
    },
    consume(handle) {
      let isOver: boolean = false;
      const run = async () => {
        while (!isOver) {
          const now = Date.now();
          const rows = claim.all(now + leaseMs, now, maxInFlight);
          for (const { payload } of rows) handle(payload as Uint8Array);
          if (rows.length > 0) {
            inOne(() => {
              for (const { id } of rows) remove.run(Number(id));
            });
          }
          // Other work goes on between two claims; with nothing left it waits for who publishes here.
          await new Promise<void>((resolve) => {
            wake = resolve;
            if (rows.length > 0 || isOver) setImmediate(resolve);
          });
        }
      };
      const running = run();
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
