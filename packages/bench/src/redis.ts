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
import { cpuMicros } from "./cpu.ts";
import { compare, type Figures, renderFigures, type Subject } from "./measure.ts";

const rounds = 5;
const roundMs = 700;
const keys = 10_000;
const valueBytes = 256;
const keyspace = "default/bench";

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
  const serverMicros = () => cpuMicros(server.pid);
  const rows: Row[] = [];
  for (const concurrency of [1, 64]) {
    for (const [operation, pair] of Object.entries(subjects)) {
      const measured = await compare(pair, { callers: concurrency, rounds, roundMs, serverMicros });
      for (const [subject, figures] of measured) rows.push({ aof, operation, concurrency, subject, ...figures });
    }
  }
  await component.close();
  await client.close();
  return rows;
}

function render(rows: readonly Row[]): string {
  const table = renderFigures(
    ["AOF", "operation", "callers", "subject"],
    rows.map((row) => [[row.aof, row.operation, String(row.concurrency), row.subject], row]),
  );
  return `${valueBytes}-byte values, ${keys} keys, Node ${process.versions.node}, medians of ${rounds} rounds taking turns\n\n${table}`;
}

await main();
