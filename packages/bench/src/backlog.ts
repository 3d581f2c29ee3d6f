// What a runtime holds in memory while ever more events wait, and whether anybody else feels it: a consumer holds its credit and acks nothing, and
// what one event of another group takes is measured at every step.
//
//   pnpm --filter @mecha/bench exec node src/backlog.ts [--component sqlite] [--events 1000000] [--json]
//
// Linux only: memory is what the kernel says in /proc. Events of 1 KiB: a million are 1 GiB on the disk.
import { parseArgs } from "node:util";
import { backends } from "@mecha/e2e/backends";
import { publishBacklog } from "@mecha/e2e/backlog";
import { openGroup } from "@mecha/e2e/groups";
import { serveMecha } from "@mecha/e2e/mecha";
import { residentMemoryMiB } from "@mecha/e2e/memory";
import { createPubSubClient, type PubSubClient } from "@mecha/pubsub";
import { renderTable } from "./measure.ts";

const steps = 10;
const credit = 64;
const probes = 200;

interface Row {
  readonly waiting: number;
  /** Of the runtime. */
  readonly residentMiB: number;
  readonly publishedPerSecond: number;
  /** What the consumer that acks nothing holds. */
  readonly held: number;
  /** From the call of publish to the handler of another topic's group. */
  readonly otherP50Ms: number;
  readonly otherP99Ms: number;
}

const { values } = parseArgs({
  options: {
    component: { type: "string", default: "sqlite" },
    events: { type: "string", default: "1000000" },
    json: { type: "boolean", default: false },
  },
});
const backend = backends.find(({ name }) => name === values.component);
if (backend === undefined) throw new Error(`there is no component "${values.component}"`);
await using server = await backend.startServer?.();
const resources = backend.resources(server);
await using mecha = await serveMecha(resources === undefined ? {} : { resources });
const { endpoint } = mecha;
await using pubsub = createPubSubClient({ endpoint });
await openGroup(endpoint, "backlog", "stuck", { ackTimeout: { seconds: 3600n } });
await openGroup(endpoint, "other", "well");

let held = 0;
await using stuck = pubsub.stream("backlog", { group: "stuck", maxInFlight: credit });
const holding = (async () => {
  for await (const _ of stuck) held += 1;
})();
const rows: Row[] = [{ ...(await probe(pubsub)), waiting: 0, publishedPerSecond: 0 }];
const events = Number(values.events);
for (let step = 0; step < steps; step++) {
  const [from, to] = [(events * step) / steps, (events * (step + 1)) / steps];
  const start = performance.now();
  await publishBacklog(pubsub, "backlog", from, to);
  const publishedPerSecond = ((to - from) / (performance.now() - start)) * 1000;
  rows.push({ ...(await probe(pubsub)), waiting: to, publishedPerSecond });
}
console.log(values.json ? JSON.stringify(rows, undefined, 2) : render(rows));
await stuck.close();
await holding;

/** Sends events through another group, and looks at the runtime after that. */
async function probe(client: PubSubClient): Promise<Omit<Row, "waiting" | "publishedPerSecond">> {
  let arrived = () => {};
  await using _ = client.subscribe("other", () => arrived(), { group: "well" });
  const latencies: number[] = [];
  for (let index = 0; index < probes; index++) {
    const arrival = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const sent = performance.now();
    await client.publish("other", index);
    await arrival;
    latencies.push(performance.now() - sent);
  }
  latencies.sort((a, b) => a - b);
  const at = (share: number) => latencies[Math.floor(latencies.length * share)] ?? Number.NaN;
  return { residentMiB: residentMemoryMiB(mecha.pid), held, otherP50Ms: at(0.5), otherP99Ms: at(0.99) };
}

function render(all: readonly Row[]): string {
  const titles = ["events waiting", "runtime MiB", "published/s", "held", "another group p50 ms", "p99 ms"];
  const cells = all.map((row) => [
    row.waiting.toLocaleString("en"),
    row.residentMiB.toFixed(0),
    Math.round(row.publishedPerSecond).toLocaleString("en"),
    String(row.held),
    row.otherP50Ms.toFixed(1),
    row.otherP99Ms.toFixed(1),
  ]);
  return renderTable(titles, cells);
}
