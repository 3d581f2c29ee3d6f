import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import source from "../test/migrate-thread.js?source";
import { temporaryFolder } from "../test/temporary-folder.ts";
import { currentLayout, inspectLayout, layouts, migrate } from "./schema.js";

const folder = temporaryFolder();

/** A later layout, with a step that fails when it is done twice and that takes long enough for others to come upon it. */
const later = [
  ...layouts,
  `
  CREATE TABLE added (n INTEGER);
  INSERT INTO added WITH RECURSIVE count(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < 200000) SELECT n FROM count;
  `,
];

function open(name: string): DatabaseSync {
  const db = new DatabaseSync(join(folder, name), { timeout: 0 });
  db.exec("PRAGMA journal_mode = WAL");
  return db;
}

test("an older file is brought to the newest layout, and keeps what it holds", () => {
  const db = open("older.db");
  migrate(db);
  db.exec("UPDATE meta SET value = 42 WHERE name = 'revision'");
  migrate(db, later);
  expect(inspectLayout(db, later.length)).toBe(currentLayout + 1);
  expect(db.prepare("SELECT value FROM meta WHERE name = 'revision'").get()?.value).toBe(42);
  db.close();
});

test("of several that migrate at the same moment one does it, and the others find it done", async () => {
  const db = open("together.db");
  migrate(db);
  const workerData = { path: join(folder, "together.db"), steps: later };
  const threads = Array.from({ length: 8 }, () => new Worker(source, { eval: true, workerData, execArgv: [] }));
  await Promise.all(threads.map((thread) => once(thread, "message")));
  const exits = threads.map((thread) => once(thread, "exit"));
  for (const thread of threads) thread.postMessage("go");
  for (const [code] of await Promise.all(exits)) expect(code).toBe(0);
  expect(db.prepare("SELECT count(*) AS n FROM added").get()?.n).toBe(200_000);
  db.close();
});

test("a migration that fails changes nothing", () => {
  const db = open("fails.db");
  migrate(db);
  expect(() => migrate(db, [...layouts, "CREATE TABLE half (n); SELECT no_such_function()"])).toThrow();
  expect(inspectLayout(db)).toBe(currentLayout);
  expect(db.prepare("SELECT count(*) AS n FROM sqlite_schema WHERE name = 'half'").get()?.n).toBe(0);
  db.close();
});

test("a newer file is refused with words, and is left as it is", () => {
  const db = open("newer.db");
  migrate(db, later);
  const words = `written by a newer version of Mecha (layout ${later.length}; this version knows up to ${currentLayout})`;
  expect(() => migrate(db)).toThrow(words);
  expect(inspectLayout(db, later.length)).toBe(later.length);
  db.close();
});

test("someone else's database is refused, and is left as it is", () => {
  const db = open("foreign.db");
  db.exec("CREATE TABLE theirs (n)");
  expect(() => migrate(db)).toThrow(/not one of Mecha's/);
  expect(db.prepare("SELECT name FROM sqlite_schema").all()).toEqual([{ name: "theirs" }]);
  db.close();
  writeFileSync(join(folder, "empty.db"), "");
  const empty = open("empty.db");
  migrate(empty);
  expect(inspectLayout(empty)).toBe(currentLayout);
  empty.close();
});
