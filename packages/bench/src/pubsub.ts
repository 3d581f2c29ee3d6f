// What the runtime costs over the engine that carries its events: `mecha serve` and @mecha/pubsub against the engine's own client, in one run.
//
//   pnpm bench pubsub [--json]                                                        all engines that are installed
//   pnpm --filter @mecha/bench exec node src/pubsub.ts [--json] [--engine sqlite,…]   some of them
//
// See README.md. Exits with 1 if a bar is missed.
import { parseArgs } from "node:util";
import { isMissing } from "@mecha/e2e/backends";
import { type Figures, renderTable } from "./measure.ts";
import { batched, compareQueues, single } from "./pubsub/contest.ts";
import { engines, ownClient, runtime, startContestants } from "./pubsub/engines.ts";

interface Row extends Figures {
  readonly engine: string;
  readonly measure: string;
  readonly contestant: string;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { json: { type: "boolean", default: false }, engine: { type: "string" } },
  });
  const chosen = values.engine?.split(",") ?? engines.map(({ name }) => name);
  const rows: Row[] = [];
  for (const engine of engines.filter(({ name }) => chosen.includes(name))) {
    if (isMissing(engine)) {
      console.error(`${engine.name} is not measured: ${engine.needs.join(" and ")} is not installed`);
      continue;
    }
    await using stack = new AsyncDisposableStack();
    for (const { measure, figures } of await compareQueues(await startContestants(engine, stack))) {
      for (const [contestant, each] of figures) rows.push({ engine: engine.name, measure, contestant, ...each });
    }
  }
  console.log(values.json ? JSON.stringify(rows, undefined, 2) : render(rows));
  for (const bar of missedBars(rows)) {
    console.error(`✗ ${bar}`);
    process.exitCode = 1;
  }
}

/** Who is measured against whom. */
const peerOf = (rows: readonly Row[], row: Row): Row | undefined =>
  rows.find(
    ({ engine, measure, contestant }) =>
      contestant === ownClient && engine === row.engine && measure === row.measure && row.contestant === runtime,
  );

function missedBars(rows: readonly Row[]): string[] {
  const missed: string[] = [];
  const require = (row: Row, figure: number, bar: number, unit: string) => {
    if (figure < bar) missed.push(`${row.engine}, ${row.measure}: ${figure.toFixed(2)}${unit}, not ${bar}${unit}`);
  };
  for (const row of rows.filter(({ contestant }) => contestant === runtime)) {
    const peer = peerOf(rows, row);
    if (row.measure === batched && peer) require(row, row.perSecond / peer.perSecond, 0.6, " of its own client's rate");
    if (row.engine !== "sqlite") continue;
    if (row.measure === batched) require(row, row.perSecond, 20_000, " events/s");
    if (row.measure === single) require(row, row.perSecond, 3_000, " events/s");
  }
  return missed;
}

function render(rows: readonly Row[]): string {
  const titles = [
    "engine",
    "measure",
    "by",
    "events/s",
    "of own client",
    "p50 ms",
    "p99 ms",
    "µs CPU an event",
    "added",
  ];
  const cells = rows.map((row) => {
    const peer = peerOf(rows, row);
    return [
      row.engine,
      row.measure,
      row.contestant,
      Math.round(row.perSecond).toLocaleString("en"),
      peer === undefined ? "" : `${Math.round((100 * row.perSecond) / peer.perSecond)} %`,
      milliseconds(row.p50Ms),
      milliseconds(row.p99Ms),
      allMicros(row).toFixed(0),
      peer === undefined ? "" : (allMicros(row) - allMicros(peer)).toFixed(0),
    ];
  });
  return renderTable(titles, cells);
}

/** The CPU of all that takes part: this process, the runtime, the engine. */
const allMicros = ({ clientMicros, serverMicros }: Figures): number => clientMicros + serverMicros;

const milliseconds = (value: number): string => (Number.isNaN(value) ? "" : value.toFixed(2));

await main();
