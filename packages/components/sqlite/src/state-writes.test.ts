import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import type { Transaction } from "./jobs.js";
import { migrate } from "./schema.js";
import { deletionLimits } from "./state-jobs.js";
import { createStateHandlers } from "./state-writes.js";

function open() {
  const db = new DatabaseSync(":memory:");
  migrate(db);
  const handlers = createStateHandlers(db);
  const count = (table: string) => Number(db.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.n);
  let revision = 1_000_000;
  const at = (now: number): Transaction => ({ now, nextRevision: () => ++revision });
  const write = (now: number, operations: Parameters<(typeof handlers)["state.write"]>[0]["operations"]) =>
    handlers["state.write"](
      { keyspace: "app", operations, publishes: [], requestId: undefined },
      operations.map(() => new Uint8Array(1)),
      at(now),
    );
  return { db, count, write, sweep: (now: number) => handlers["state.sweep"]({}, [], at(now)) };
}

const set = (key: string, ttlMs?: number) =>
  ({ type: "set", key, contentType: "", ttlMs, precondition: undefined }) as const;
const remove = (key: string) => ({ type: "delete", key, precondition: undefined }) as const;

test("a flood of deletions keeps no more of them than the limit, the last ones", () => {
  const { db, count, write } = open();
  db.exec(`
    INSERT INTO state_deletion
    WITH RECURSIVE count(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < ${deletionLimits.maxCount})
    SELECT n, 'app', 'key-' || n, 0, 1000 FROM count
  `);
  for (let n = 0; n < 1_000; n++) write(1_000, [set("key"), remove("none")]);
  expect(count("state_deletion")).toBe(deletionLimits.maxCount);
  for (let n = 0; n < 1_000; n++) {
    write(1_000, [set("key")]);
    write(1_000, [remove("key")]);
  }
  expect(count("state_deletion")).toBeLessThan(deletionLimits.maxCount + 256);
  const first = Number(db.prepare("SELECT min(revision) AS n FROM state_deletion").get()?.n);
  expect(first).toBeGreaterThan(700);
  // A watch that comes from before is told that it is too late.
  expect(db.prepare("SELECT value FROM meta WHERE name = 'state_forgotten'").get()?.value).toBe(first - 1);
});

test("a sweep is bounded, says when there is more, and leaves what is not due", () => {
  const { count, write, sweep } = open();
  for (let n = 0; n < 600; n++) write(1_000, [set(`key-${n}`, 500)]);
  write(1_000, [set("later", 501), set("never")]);
  expect(sweep(1_499)).toEqual({ more: false });
  expect(count("state_item")).toBe(602);
  const answers = [sweep(1_500), sweep(1_500), sweep(1_500)];
  expect(answers).toEqual([{ more: true }, { more: true }, { more: false }]);
  expect(count("state_item")).toBe(2);
  expect(count("state_deletion")).toBe(600);
  sweep(1_500 + deletionLimits.maxAgeMs);
  sweep(1_500 + deletionLimits.maxAgeMs);
  sweep(1_500 + deletionLimits.maxAgeMs);
  expect(count("state_deletion")).toBe(1);
});
