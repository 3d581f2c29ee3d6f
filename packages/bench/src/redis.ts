// What the redis component costs over the client library that it stands on: the same server, values and concurrency, taking turns.
//
//   pnpm --filter @mecha/bench exec node src/redis.ts          a table
//   pnpm --filter @mecha/bench exec node src/redis.ts --json   the same as JSON
//
// It does not measure the network (loopback), nor the runtime in front of the component. A set of the component does more than a SET: it
// keeps the index, the change log, the etag and the precondition, in one script; the server's share of that is shown.
import { parseArgs } from "node:util";
import { startComponent } from "@mecha/component/conformance";
import { redis } from "@mecha/component-redis";
import { startRedis } from "@mecha/test-servers";
import { createClient, RESP_TYPES } from "@redis/client";

const rounds = 5;
const roundMs = 700;
const keys = 10_000;
const valueBytes = 256;
const keyspace = "default/bench";

interface Subject {
  readonly name: string;
  run(index: number): Promise<unknown>;
}

interface Figures {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** CPU of this process per call. */
  readonly clientMicros: number;
  /** CPU of the server per call. */
  readonly serverMicros: number;
}

interface Row extends Figures {
  readonly aof: string;
  readonly operation: string;
  readonly concurrency: number;
  readonly subject: string;
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { json: { type: "boolean", default: false } } });
  const rows = [...(await bench("off")), ...(await bench("always"))];
  console.log(values.json ? JSON.stringify(rows, undefined, 2) : render(rows));
}

async function bench(aof: "off" | "always"): Promise<Row[]> {
  await using server = await startRedis({ appendfsync: aof });
  const component = await startComponent(redis, { url: server.url });
  const { state } = component.blocks;
  if (state === undefined) throw new Error("the component serves no state");
  const client = createClient({ url: server.url, RESP: 3, commandOptions: { timeout: 0 } });
  client.on("error", () => {});
  await client.connect();
  const binary = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  const value = Buffer.alloc(valueBytes, "v");
  const keyOf = (index: number) => `order-${index % keys}`;
  const set = (key: string) =>
    ({ type: "set", key, value, contentType: "application/json", ttlMs: undefined, precondition: undefined }) as const;
  const subjects: Record<string, [Subject, Subject]> = {
    get: [
      { name: "client", run: async (index) => binary.get(`raw:${keyOf(index)}`) },
      { name: "component", run: async (index) => state.get({ keyspace, key: keyOf(index) }) },
    ],
    set: [
      { name: "client", run: async (index) => client.set(`raw:${keyOf(index)}`, value) },
      {
        name: "component",
        run: async (index) => state.write({ keyspace, requestId: undefined, operations: [set(keyOf(index))] }),
      },
    ],
  };
  for (let first = 0; first < keys; first += 100) {
    const batch = Array.from({ length: 100 }, (_, index) => keyOf(first + index));
    await state.write({ keyspace, requestId: undefined, operations: batch.map(set) });
    await Promise.all(batch.map((key) => client.set(`raw:${key}`, value)));
  }
  const serverMicros = async () => {
    const info = await client.info("cpu");
    const seconds = ["used_cpu_user", "used_cpu_sys"].map((name) => Number(new RegExp(`${name}:(.*)`).exec(info)?.[1]));
    return seconds.reduce((sum, each) => sum + each, 0) * 1e6;
  };
  const rows: Row[] = [];
  for (const concurrency of [1, 64]) {
    for (const [operation, pair] of Object.entries(subjects)) {
      const measured = pair.map((): Figures[] => []);
      for (let round = -1; round < rounds; round++) {
        for (const [index, subject] of pair.entries()) {
          const figures = await measure(subject, concurrency, serverMicros);
          if (round >= 0) measured[index]?.push(figures); // The first round only warms up.
        }
      }
      for (const [index, { name }] of pair.entries()) {
        rows.push({ aof, operation, concurrency, subject: name, ...medians(measured[index] ?? []) });
      }
    }
  }
  await component.close();
  await client.close();
  return rows;
}

async function measure(subject: Subject, concurrency: number, serverMicros: () => Promise<number>): Promise<Figures> {
  const latencies: number[] = [];
  const serverBefore = await serverMicros();
  const cpuBefore = process.cpuUsage();
  const start = performance.now();
  const caller = async (first: number) => {
    for (let index = first; ; index += concurrency) {
      const sent = performance.now();
      if (sent - start > roundMs) return;
      await subject.run(index);
      latencies.push(performance.now() - sent);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, (_, index) => caller(index)));
  const elapsedMs = performance.now() - start;
  const { user, system } = process.cpuUsage(cpuBefore);
  const serverAfter = await serverMicros();
  latencies.sort((a, b) => a - b);
  const at = (share: number) => latencies[Math.floor(latencies.length * share)] ?? Number.NaN;
  return {
    perSecond: (latencies.length / elapsedMs) * 1000,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    clientMicros: (user + system) / latencies.length,
    serverMicros: (serverAfter - serverBefore) / latencies.length,
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
    clientMicros: of("clientMicros"),
    serverMicros: of("serverMicros"),
  };
}

function render(rows: Row[]): string {
  const line = ({ aof, operation, concurrency, subject, ...figures }: Row) =>
    `| ${[
      aof,
      operation,
      concurrency,
      subject,
      Math.round(figures.perSecond).toLocaleString("en"),
      figures.p50Ms.toFixed(3),
      figures.p99Ms.toFixed(3),
      figures.clientMicros.toFixed(1),
      figures.serverMicros.toFixed(1),
    ].join(" | ")} |`;
  return [
    `${valueBytes}-byte values, ${keys} keys, Node ${process.versions.node}, medians of ${rounds} rounds taking turns`,
    "",
    "| AOF | operation | callers | subject | calls/s | p50 ms | p99 ms | µs CPU here | µs CPU server |",
    "|---|---|---|---|---|---|---|---|---|",
    ...rows.map(line),
  ].join("\n");
}

await main();
