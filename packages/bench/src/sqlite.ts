// What the sqlite component does on this disk: durable sets by one caller and by 64, what the event loop feels of it, gets, and two
// processes on one file; beside it plain node:sqlite on the main thread, which is what one would write first.
//
//   pnpm --filter @mecha/bench exec node src/sqlite.ts                a table
//   pnpm --filter @mecha/bench exec node src/sqlite.ts --json         the same as JSON
//   pnpm --filter @mecha/bench exec node src/sqlite.ts --dir DIR      on the disk of DIR (default: the folder for temporary files)
//
// Subjects take turns, and figures are medians of five rounds. The fsync is the disk's: trust only ratios of one run. It does not measure
// the runtime in front of the component. The loop delay is the whole process's, with 1 ms or so that is the resolution of its measurement.
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { StateStore } from "@mecha/component";
import { startComponent } from "@mecha/component/conformance";
import { sqlite } from "@mecha/component-sqlite";
import { compare, type Figures, measure, medians, renderTable, type Subject, takeTurns } from "./measure.ts";

const rounds = 5;
const roundMs = 1_000;
const keys = 1_000;
/** Different from one write of a key to the next, rounds included: SQLite does not write what is there already. */
const contents = Array.from({ length: 251 }, (_, index) => new Uint8Array(256).fill(index));
let writes = 0;
const nextContent = () => contents[++writes % contents.length] ?? new Uint8Array(256);
const callersBeside = 32;
const keyspace = "default/bench";
const keyOf = (index: number) => `order-${index % keys}`;

type Row = { readonly subject: string; readonly callers: number } & Figures;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      json: { type: "boolean", default: false },
      dir: { type: "string", default: tmpdir() },
      "write-into": { type: "string" },
    },
  });
  if (values["write-into"] !== undefined) return writeBeside(values["write-into"]);
  const folder = mkdtempSync(join(values.dir, "mecha-bench-"));
  try {
    const rows = [...(await benchOne(folder)), ...(await benchTwo(folder))];
    console.log(values.json ? JSON.stringify(rows, undefined, 2) : render(rows));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** One process. */
async function benchOne(folder: string): Promise<Row[]> {
  const component = await startComponent(sqlite, {}, { dataDir: folder });
  const state = stateOf(component.blocks);
  const plain = openPlain(join(folder, "plain.db"));
  const subjects = [
    { name: "set, node:sqlite on the main thread", callers: 1, run: plain.set },
    { name: "set", callers: 1, run: (index) => set(state, index) },
    { name: "set, group commit", callers: 64, run: (index) => set(state, index) },
    { name: "get, node:sqlite on the main thread", callers: 1, run: plain.get },
    { name: "get", callers: 1, run: (index) => state.get({ keyspace, key: keyOf(index) }) },
  ] satisfies Subject[];
  const measured = await compare(subjects, { callers: 1, rounds, roundMs });
  plain.close();
  await component.close();
  return subjects.map(({ name, callers }) => ({ subject: name, callers, ...figuresOf(measured, name) }));
}

/** Two processes on one file, which write at the same time. */
async function benchTwo(folder: string): Promise<Row[]> {
  const child = fork(fileURLToPath(import.meta.url), ["--write-into", folder]);
  await once(child, "message");
  const component = await startComponent(sqlite, {}, { dataDir: folder });
  const state = stateOf(component.blocks);
  const there: Figures[] = [];
  const together = async () => {
    child.send("go");
    const answered = once(child, "message");
    const figures = await measureBeside(state);
    there.push((await answered)[0] as Figures);
    return figures;
  };
  const name = "set, first of two processes";
  const here = figuresOf(await takeTurns(rounds, [[name, together]]), name);
  const exited = once(child, "exit");
  child.disconnect();
  await exited;
  await component.close();
  return [
    { subject: name, callers: callersBeside, ...here },
    { subject: "set, second of two processes", callers: callersBeside, ...medians(there.slice(1)) },
  ];
}

/** The second process. */
async function writeBeside(folder: string): Promise<void> {
  const component = await startComponent(sqlite, {}, { dataDir: folder });
  const state = stateOf(component.blocks);
  process.on("message", async () => process.send?.(await measureBeside(state)));
  process.on("disconnect", () => component.close());
  process.send?.("ready");
}

const measureBeside = (state: StateStore): Promise<Figures> =>
  measure({ name: "set", run: (index) => set(state, index) }, { callers: callersBeside, rounds, roundMs });

function figuresOf(measured: Map<string, Figures>, name: string): Figures {
  const figures = measured.get(name);
  if (figures === undefined) throw new Error(`"${name}" was not measured`);
  return figures;
}

function set(state: StateStore, index: number): unknown {
  const operation = {
    type: "set",
    key: keyOf(index),
    value: nextContent(),
    contentType: "application/json",
    ttlMs: undefined,
    precondition: undefined,
  } as const;
  return state.write({ keyspace, requestId: undefined, operations: [operation] });
}

function stateOf({ state }: { state?: StateStore }): StateStore {
  if (state === undefined) throw new Error("the component serves no state");
  return state;
}

function openPlain(path: string) {
  const db = new DatabaseSync(path);
  db.exec(`
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE item (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
  `);
  const put = db.prepare("INSERT INTO item VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value");
  const get = db.prepare("SELECT value FROM item WHERE key = ?");
  return {
    set: (index: number) => put.run(keyOf(index), nextContent()),
    get: (index: number) => get.get(keyOf(index)),
    close: () => db.close(),
  };
}

function render(rows: readonly Row[]): string {
  const titles = ["", "callers", "calls/s", "p50 ms", "p99 ms", "CPU µs a call", "loop delay p99 ms"];
  const cells = rows.map(({ subject, callers, perSecond, p50Ms, p99Ms, clientMicros, loopP99Ms }) => [
    subject,
    String(callers),
    Math.round(perSecond).toLocaleString("en"),
    p50Ms.toFixed(3),
    p99Ms.toFixed(2),
    clientMicros.toFixed(1),
    loopP99Ms.toFixed(1),
  ]);
  const rate = (callers: number) =>
    rows.find((row) => /^set(, group commit)?$/.test(row.subject) && row.callers === callers)?.perSecond;
  const ratio = (rate(64) ?? Number.NaN) / (rate(1) ?? Number.NaN);
  return `${renderTable(titles, cells)}\n\n64 callers: ${ratio.toFixed(1)} times one.`;
}

await main();
