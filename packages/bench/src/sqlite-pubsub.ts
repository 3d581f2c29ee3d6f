// What the sqlite component does with events on this disk: durable publishes by one caller and by 64, batches of 100, how long an event takes
// to a consumer of the same process, consuming, and leasing from a long backlog.
//
//   pnpm --filter @mecha/bench exec node src/sqlite-pubsub.ts                a table
//   pnpm --filter @mecha/bench exec node src/sqlite-pubsub.ts --json         the same as JSON
//   pnpm --filter @mecha/bench exec node src/sqlite-pubsub.ts --dir DIR      on the disk of DIR (default: the folder for temporary files)
//   pnpm --filter @mecha/bench exec node src/sqlite-pubsub.ts --backlog N    with so many events that wait (default: 100,000)
//
// Events of 256 bytes. Figures are medians of five rounds. The fsync is the disk's. It does not measure the runtime in front of the
// component, nor consumers of other processes.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { DeliverySource, GroupSettings, PubSub, PubSubEntry } from "@mecha/component";
import { startComponent } from "@mecha/component/conformance";
import { sqlite } from "@mecha/component-sqlite";
import { compare, renderTable } from "./measure.ts";

const rounds = 5;
const roundMs = 1_000;
const keyspace = "default";
const payload = new Uint8Array(256).fill(7);
const settings: GroupSettings = {
  filter: "",
  ordered: false,
  start: { type: "new" },
  maxAttempts: 10,
  minBackoffMs: 1_000,
  maxBackoffMs: 300_000,
  ackTimeoutMs: 30_000,
};

interface Row {
  readonly subject: string;
  readonly eventsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

let ids = 0;
const entryOf = (topic: string): PubSubEntry => ({
  topic,
  source: "bench",
  id: `event-${++ids}`,
  payload,
  orderingKey: "",
  delayMs: 0,
  ttlMs: undefined,
  metadata: {},
});

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      json: { type: "boolean", default: false },
      dir: { type: "string", default: tmpdir() },
      backlog: { type: "string", default: "100000" },
    },
  });
  const folder = mkdtempSync(join(values.dir, "mecha-bench-"));
  try {
    const component = await startComponent(sqlite, {}, { dataDir: folder });
    const { pubsub } = component.blocks;
    if (pubsub === undefined) throw new Error("the component serves no pubsub");
    const rows = [
      await publishing(pubsub, "publish, 1 caller", 1, 1),
      await publishing(pubsub, "publish, 64 callers", 64, 1),
      await publishing(pubsub, "publish 100 at a time, 1 caller", 1, 100),
      await publishing(pubsub, "publish 100 at a time, 8 callers", 8, 100),
      await endToEnd(pubsub),
      ...(await backlog(pubsub, Number(values.backlog))),
    ];
    await component.close();
    console.log(values.json ? JSON.stringify(rows, undefined, 2) : render(rows));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const publish = (pubsub: PubSub, topic: string, count: number) =>
  pubsub.publish({ keyspace, entries: Array.from({ length: count }, () => entryOf(topic)) });

async function openGroup(pubsub: PubSub, topic: string): Promise<DeliverySource> {
  const call = { keyspace, topic, group: "bench/group" };
  await pubsub.openGroup({ ...call, settings, defaults: settings, update: false });
  return pubsub.consume(call);
}

async function publishing(pubsub: PubSub, subject: string, callers: number, size: number): Promise<Row> {
  return measureRuns(subject, callers, async () => {
    await publish(pubsub, "published", size);
    return size;
  });
}

/** One event after the other: from the call of publish to the lease in the consumer's hands. */
async function endToEnd(pubsub: PubSub): Promise<Row> {
  const source = await openGroup(pubsub, "latency");
  const row = await measureRuns("publish until a consumer has it", 1, async () => {
    const receiving = take(source, 1);
    await publish(pubsub, "latency", 1);
    await ack(source, await receiving);
    return 1;
  });
  await source.close();
  return row;
}

/** Leasing and acking while many events wait. */
async function backlog(pubsub: PubSub, count: number): Promise<Row[]> {
  const source = await openGroup(pubsub, "backlog");
  for (let published = 0; published < count; published += 1_000) await publish(pubsub, "backlog", 1_000);
  const one = await measureRuns(`lease and ack 1, of ${count}`, 1, async () => {
    await ack(source, await take(source, 1));
    return 1;
  });
  const many = await measureRuns("lease and ack 100, 4 callers", 4, async () => {
    const handles = await take(source, 100, AbortSignal.abort());
    if (handles.length > 0) await ack(source, handles);
    else await publish(pubsub, "backlog", 1_000);
    return handles.length;
  });
  await source.close();
  return [one, many];
}

const never = new AbortController().signal;

async function take(source: DeliverySource, maxItems: number, signal: AbortSignal = never): Promise<string[]> {
  const leases = await source.receive({ maxItems, maxBytes: 16 * 1024 * 1024, leaseMs: 30_000, signal });
  return leases.map(({ handle }) => handle);
}

const ack = (source: DeliverySource, handles: readonly string[]) =>
  source.settle(handles.map((handle) => ({ type: "ack", handle })));

/** Runs something by some callers at once; it says how many events each run was about. */
async function measureRuns(subject: string, callers: number, run: () => Promise<number>): Promise<Row> {
  const [figures] = (await compare([{ name: subject, run, sizeOf: Number }], { callers, rounds, roundMs })).values();
  if (figures === undefined) throw new Error(`"${subject}" was not measured`);
  return { subject, eventsPerSecond: figures.perSecond, p50Ms: figures.p50Ms, p99Ms: figures.p99Ms };
}

function render(rows: readonly Row[]): string {
  const cells = rows.map(({ subject, eventsPerSecond, p50Ms, p99Ms }) => [
    subject,
    Math.round(eventsPerSecond).toLocaleString("en"),
    p50Ms.toFixed(2),
    p99Ms.toFixed(2),
  ]);
  return renderTable(["", "events/s", "p50 ms a call", "p99 ms a call"], cells);
}

await main();
