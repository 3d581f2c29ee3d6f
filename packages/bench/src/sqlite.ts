// What the sqlite component does on this disk: durable sets by one caller and by 64, what the event loop feels of it, gets, and two
// processes on one file; beside it plain node:sqlite on the main thread, which is what one would write first.
//
//   pnpm --filter @mecha/bench exec node src/sqlite.ts                a table
//   pnpm --filter @mecha/bench exec node src/sqlite.ts --json         the same as JSON
//   pnpm --filter @mecha/bench exec node src/sqlite.ts --dir DIR      on the disk of DIR (default: the folder for temporary files)
//
// Subjects take turns, and figures are medians of five rounds. The fsync is the disk's: trust only ratios of one run. It does not measure
// the runtime in front of the component. The loop delay includes 1 ms or so, which is the resolution of its measurement.
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { StateStore } from "@mecha/component";
import { startComponent } from "@mecha/component/conformance";
import { sqlite } from "@mecha/component-sqlite";

const rounds = 5;
const roundMs = 1_000;
const keys = 1_000;
/** Different from one write of a key to the next, rounds included: SQLite does not write what is there already. */
const contents = Array.from({ length: 251 }, (_, index) => new Uint8Array(256).fill(index));
let writes = 0;
const nextContent = () => contents[++writes % contents.length] ?? new Uint8Array(256);
const keyspace = "default/bench";
const keyOf = (index: number) => `order-${index % keys}`;

/** One thing that is measured, by some callers at once. */
interface Subject {
  readonly name: string;
  readonly callers: number;
  run(index: number): unknown;
}

interface Figures {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** CPU of the whole process per call, its threads included. */
  readonly cpuMicros: number;
  readonly loopP99Ms: number;
}

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
  const subjects: Subject[] = [
    { name: "set, node:sqlite on the main thread", callers: 1, run: plain.set },
    { name: "set", callers: 1, run: (index) => set(state, index) },
    { name: "set", callers: 64, run: (index) => set(state, index) },
    { name: "get, node:sqlite on the main thread", callers: 1, run: plain.get },
    { name: "get", callers: 1, run: (index) => state.get({ keyspace, key: keyOf(index) }) },
  ];
  const measured = subjects.map((): Figures[] => []);
  // The first round only warms up.
  for (let round = -1; round < rounds; round++) {
    for (const [index, subject] of subjects.entries()) {
      const figures = await measure(subject);
      if (round >= 0) measured[index]?.push(figures);
    }
  }
  plain.close();
  await component.close();
  return subjects.map(({ name, callers }, index) => ({ subject: name, callers, ...medians(measured[index] ?? []) }));
}

/** Two processes on one file, which write at the same time. */
async function benchTwo(folder: string): Promise<Row[]> {
  const child = fork(fileURLToPath(import.meta.url), ["--write-into", folder]);
  await once(child, "message");
  const component = await startComponent(sqlite, {}, { dataDir: folder });
  const state = stateOf(component.blocks);
  const here: Figures[] = [];
  const there: Figures[] = [];
  for (let round = -1; round < rounds; round++) {
    child.send("go");
    const answered = once(child, "message");
    const figures = await measure(besideSubject(state));
    const [message] = await answered;
    if (round < 0) continue;
    here.push(figures);
    there.push(message as Figures);
  }
  const exited = once(child, "exit");
  child.disconnect();
  await exited;
  await component.close();
  return [
    { subject: "set, first of two processes", callers: 32, ...medians(here) },
    { subject: "set, second of two processes", callers: 32, ...medians(there) },
  ];
}

/** The second process. */
async function writeBeside(folder: string): Promise<void> {
  const component = await startComponent(sqlite, {}, { dataDir: folder });
  const subject = besideSubject(stateOf(component.blocks));
  process.on("message", async () => process.send?.(await measure(subject)));
  process.on("disconnect", () => component.close());
  process.send?.("ready");
}

const besideSubject = (state: StateStore): Subject => ({
  name: "set",
  callers: 32,
  run: (index) => set(state, index),
});

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

async function measure({ callers, run }: Subject): Promise<Figures> {
  const latencies: number[] = [];
  const loop = monitorEventLoopDelay({ resolution: 1 });
  loop.enable();
  const cpuBefore = process.cpuUsage();
  const start = performance.now();
  let index = 0;
  const caller = async () => {
    for (let turned = start; ; ) {
      const sent = performance.now();
      if (sent - start > roundMs) return;
      const answer = run(index++);
      if (answer instanceof Promise) await answer;
      const answered = performance.now();
      latencies.push(answered - sent);
      if (answer instanceof Promise || answered - turned < 1) continue;
      // What answers at once must let the loop turn now and then, as a server does.
      await new Promise(setImmediate);
      turned = performance.now();
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  const elapsedMs = performance.now() - start;
  const { user, system } = process.cpuUsage(cpuBefore);
  loop.disable();
  latencies.sort((a, b) => a - b);
  const at = (share: number) => latencies[Math.floor(latencies.length * share)] ?? Number.NaN;
  return {
    perSecond: (latencies.length / elapsedMs) * 1000,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    cpuMicros: (user + system) / latencies.length,
    loopP99Ms: loop.percentile(99) / 1e6,
  };
}

/** The median of each figure over the rounds. */
function medians(figures: Figures[]): Figures {
  const of = (name: keyof Figures) => {
    const sorted = figures.map((each) => each[name]).sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  };
  return {
    perSecond: of("perSecond"),
    p50Ms: of("p50Ms"),
    p99Ms: of("p99Ms"),
    cpuMicros: of("cpuMicros"),
    loopP99Ms: of("loopP99Ms"),
  };
}

function render(rows: Row[]): string {
  const head = "| | callers | calls/s | p50 ms | p99 ms | CPU µs a call | loop delay p99 ms |";
  const lines = rows.map(({ subject, callers, perSecond, p50Ms, p99Ms, cpuMicros, loopP99Ms }) => {
    const cells = [subject, callers, Math.round(perSecond).toLocaleString("en"), p50Ms.toFixed(3), p99Ms.toFixed(2)];
    return `| ${[...cells, cpuMicros.toFixed(1), loopP99Ms.toFixed(1)].join(" | ")} |`;
  });
  const rate = (callers: number) => rows.find((row) => row.subject === "set" && row.callers === callers)?.perSecond;
  const ratio = (rate(64) ?? Number.NaN) / (rate(1) ?? Number.NaN);
  return [head, "|---|--:|--:|--:|--:|--:|--:|", ...lines, "", `64 callers: ${ratio.toFixed(1)} times one.`].join("\n");
}

await main();
