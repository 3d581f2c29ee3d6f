// What publishing within a transaction costs on the embedded sqlite, through an embedded runtime: beside the same write without an event, and beside
// writing and publishing by two calls, which loses one of the two when the app dies in between.
//
//   pnpm --filter @mecha/bench exec node src/outbox.ts                a table
//   pnpm --filter @mecha/bench exec node src/outbox.ts --json         the same as JSON
//   pnpm --filter @mecha/bench exec node src/outbox.ts --dir DIR      on the disk of DIR (default: the folder for temporary files)
//
// Durable transactions of 64 callers, values and events of 256 bytes, an ordering key for each of 1,000 keys; medians of five rounds, by turns. "To
// another component" counts a transaction when it is answered; the relay hands the events over meanwhile, on the same two cores, and the next turn
// begins when all are handed over. Latency: one transaction after the other, from its answer until a Pull that waits has the event. It does not
// measure sockets, or brokers.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Client, createClient } from "@connectrpc/connect";
import { Disposition, PubSubService } from "@mecha/api/pubsub";
import { RuntimeService } from "@mecha/api/runtime";
import { createPubSubClient } from "@mecha/pubsub";
import { createRuntime, type Runtime } from "@mecha/runtime";
import { createStateClient, operation } from "@mecha/state";
import { type Figures, measure, record, renderTable, type Subject, takeTurns } from "./measure.ts";

const options = { callers: 64, rounds: 5, roundMs: 1_000 };
const latencyCount = 50;
const body = "x".repeat(256);
const keyOf = (index: number) => `order-${index % 1_000}`;

const { values } = parseArgs({
  options: { json: { type: "boolean", default: false }, dir: { type: "string", default: tmpdir() } },
});
const folder = mkdtempSync(join(values.dir, "mecha-bench-"));
try {
  const rows = await bench();
  console.log(values.json ? JSON.stringify(rows, undefined, 2) : render(rows));
} finally {
  rmSync(folder, { recursive: true });
}

async function bench() {
  await using one = await createRuntime({ dataDir: join(folder, "one"), environment: {}, resources: [] });
  await using two = await createRuntime({
    dataDir: join(folder, "two"),
    environment: {},
    resources: [sqlite("state", "state"), sqlite("events", "pubsub")],
  });
  await using state = createStateClient({ transport: one.transport });
  await using pubsub = createPubSubClient({ transport: one.transport });
  await using relayed = createStateClient({ transport: two.transport });
  const set = (index: number) => operation.set(keyOf(index), `${index}${body}`);
  const publish = (index: number) => operation.publish("orders", body, { orderingKey: keyOf(index) });
  const subjects: readonly (Subject & { readonly runtime: Runtime })[] = [
    { name: "set", runtime: one, run: (index) => state.transact([set(index)]) },
    {
      name: "set, then publish (two calls)",
      runtime: one,
      async run(index) {
        await state.transact([set(index)]);
        await pubsub.publish("orders", body, { orderingKey: keyOf(index) });
      },
    },
    { name: "set and publish", runtime: one, run: (index) => state.transact([set(index), publish(index)]) },
    {
      name: "set and publish to another component",
      runtime: two,
      run: (index) => relayed.transact([set(index), publish(index)]),
    },
  ];
  const rates = await takeTurns(
    options.rounds,
    subjects.map((subject) => [
      subject.name,
      async () => {
        const figures = await measure(subject, options);
        await allHandedOver(subject.runtime);
        return figures;
      },
    ]),
  );
  const latencies = new Map([
    ["set and publish", await latencyOf(one)],
    ["set and publish to another component", await latencyOf(two)],
  ]);
  return subjects.map(({ name }) => ({ name, rate: rates.get(name), latency: latencies.get(name) }));
}

function sqlite(name: string, block: string) {
  return {
    apiVersion: "mecha.dev/v1",
    kind: "Component",
    metadata: { name },
    spec: { type: "sqlite", blocks: [block], config: { path: join(folder, `${name}.db`) } },
  } as const;
}

async function allHandedOver({ transport }: Runtime): Promise<void> {
  const runtime = createClient(RuntimeService, transport);
  for (let waiting = 1n; waiting > 0n; ) {
    const { components } = await runtime.getInfo({});
    waiting = components.flatMap(({ outboxes }) => outboxes).reduce((sum, { backlog }) => sum + backlog, 0n);
    if (waiting > 0n) await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** From the answer of a transaction until its event is there. */
async function latencyOf({ transport }: Runtime): Promise<Figures> {
  await using state = createStateClient({ transport });
  const pubsub: Client<typeof PubSubService> = createClient(PubSubService, transport);
  const open = { topic: "latency", settings: { start: { position: { case: "earliest", value: true } } } } as const;
  await pubsub.pull({ open });
  return await record({}, async (add) => {
    for (let index = 0; index < latencyCount; index++) {
      const pulling = pubsub.pull({ open, wait: { seconds: 30n } });
      await state.transact([operation.set("key", index), operation.publish("latency", index)]);
      const answered = performance.now();
      const { deliveries } = await pulling;
      add(Math.max(0, performance.now() - answered), deliveries.length);
      const deliveryIds = deliveries.map(({ deliveryId }) => deliveryId);
      await pubsub.ack({ settle: { deliveryIds, disposition: Disposition.ACK } });
    }
  });
}

function render(rows: Awaited<ReturnType<typeof bench>>): string {
  const titles = [
    "64 callers",
    "transactions/s",
    "p50 ms",
    "p99 ms",
    "µs CPU each",
    "until delivered, p50 ms",
    "p99 ms",
  ];
  const cells = rows.map(({ name, rate, latency }) => [
    name,
    Math.round(rate?.perSecond ?? 0).toLocaleString("en"),
    rate?.p50Ms.toFixed(1) ?? "",
    rate?.p99Ms.toFixed(1) ?? "",
    rate?.clientMicros.toFixed(0) ?? "",
    latency?.p50Ms.toFixed(1) ?? "",
    latency?.p99Ms.toFixed(1) ?? "",
  ]);
  return renderTable(titles, cells);
}
