// What a call from app to app through two runtimes costs, mutual TLS, policies and telemetry and all, against the same call made directly, and through
// what else one puts between two apps, in the same run.
//
//   pnpm bench mesh [--json]
//
// h2load calls an app that echoes: directly, through the runtimes "shop" and "orders", through two nginx, and through two of Dapr's sidecars, those of
// the last two that are installed. Requests leave at a fixed rate, whether the ones before were answered or not. Not measured: what a second
// runtime's machine or a network would add; all processes share this machine's cores.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { cpuMicros } from "./cpu.ts";
import { watchMachine } from "./machine.ts";
import { sendBig } from "./mesh/big.ts";
import { paced, throughput } from "./mesh/load.ts";
import { startDapr, startMecha, startNginx, type Way } from "./mesh/peers.ts";
import { Processes } from "./mesh/processes.ts";

const bars = { p50Ms: 0.8, p90Ms: 1.5, p99Ms: 3 };
const perSecond = 1_000;
const rounds = 5;
const callers = 32;
const throughputSeconds = 3;
/** How long a round is, and how much of it is over before calls count: its connections are new, and the first call on each pays for that. */
const roundSeconds = 11;
const uncountedSeconds = 1;
/** How long each way is called before anything counts: until V8 has compiled what is called often, the last of it after some 10,000 calls. */
const warmUpSeconds = 20;
const bigBytes = 1024 ** 3;

interface Percentiles {
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
}

/** What calls on one way take. */
interface Measured {
  /** Those that count, and what they take more than directly: medians of the rounds. */
  readonly total: Percentiles;
  readonly added: Percentiles;
  /** Those of the warm-up. */
  readonly first: Percentiles;
  /** CPU of the processes between the caller and the app. */
  readonly cpuMicrosPerCall: number;
  readonly mostPerSecond: number;
}

const names = ["p50Ms", "p90Ms", "p99Ms"] as const;
const each = (of: (name: (typeof names)[number]) => number): Percentiles => ({
  p50Ms: of("p50Ms"),
  p90Ms: of("p90Ms"),
  p99Ms: of("p99Ms"),
});
const at = (sorted: readonly number[], share: number) => sorted[Math.floor(sorted.length * share)] ?? Number.NaN;
const percentiles = (sorted: readonly number[]): Percentiles => ({
  p50Ms: at(sorted, 0.5),
  p90Ms: at(sorted, 0.9),
  p99Ms: at(sorted, 0.99),
});
const median = (values: readonly number[]) =>
  at(
    values.toSorted((a, b) => a - b),
    0.5,
  );

async function measure(ways: Record<string, Way>) {
  const first: Record<string, Percentiles> = {};
  for (const [name, { url }] of Object.entries(ways)) {
    first[name] = percentiles(await paced(url, perSecond, warmUpSeconds));
  }
  const samples: Record<string, Percentiles>[] = [];
  const cpu: Record<string, number> = {};
  const machine = watchMachine();
  // Taking turns, so that what else the machine does hits all alike.
  for (let round = 0; round < rounds; round++) {
    const sample: Record<string, Percentiles> = {};
    for (const [name, { url, pids }] of Object.entries(ways)) {
      const before = cpuMicros(...pids);
      const latencies = await paced(url, perSecond, roundSeconds, uncountedSeconds);
      cpu[name] = (cpu[name] ?? 0) + (cpuMicros(...pids) - before) / (perSecond * roundSeconds) / rounds;
      sample[name] = percentiles(latencies);
    }
    samples.push(sample);
  }
  const load = machine();
  const measured: Record<string, Measured> = {};
  for (const [name, { url }] of Object.entries(ways)) {
    const of = (sample: Record<string, Percentiles>, way: string, which: (typeof names)[number]) =>
      sample[way]?.[which] ?? Number.NaN;
    measured[name] = {
      total: each((which) => median(samples.map((sample) => of(sample, name, which)))),
      added: each((which) => median(samples.map((sample) => of(sample, name, which) - of(sample, "directly", which)))),
      first: first[name] as Percentiles,
      cpuMicrosPerCall: cpu[name] ?? Number.NaN,
      mostPerSecond: await throughput(url, callers, throughputSeconds),
    };
  }
  return { measured, ...load };
}

const round = (value: number) => Number(value.toFixed(2));
const percent = (share: number) => `${Math.round(share * 100)} %`;
const three = ({ p50Ms, p90Ms, p99Ms }: Percentiles) => [p50Ms, p90Ms, p99Ms].map(round).join(" / ");

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { json: { type: "boolean", default: false } } });
  const folder = await mkdtemp(join(tmpdir(), "mecha-mesh-"));
  try {
    await using processes = new Processes();
    const app = await processes.startNode(
      [fileURLToPath(new URL("./mesh/app.ts", import.meta.url))],
      folder,
      /^(http:.*)$/,
    );
    const options = { processes, folder, appPort: Number(new URL(app.found).port) };
    const mecha = await startMecha(options);
    const [nginx, dapr] = [await startNginx(options), await startDapr(options)];
    for (const [name, way] of Object.entries({ nginx, "daprd and sentry": dapr })) {
      if (way === undefined) console.error(`Not compared: ${name}, which this machine has not.`);
    }
    const directly: Way = { url: `${app.found}/echo`, pids: [] };
    const ways = { directly, mecha, ...(nginx && { nginx }), ...(dapr && { dapr }) };
    const { measured, busy, stolen } = await measure(ways);
    const gigabyte = await sendBig(mecha.url, bigBytes, mecha.pids);
    const added = measured.mecha?.added ?? each(() => Number.NaN);
    if (values.json) console.log(JSON.stringify({ perSecond, bars, measured, gigabyte, busy, stolen }));
    else {
      console.log(
        `1 KiB echo at ${perSecond} calls/s, mutual TLS between what is in between; p50 / p90 / p99 in ms, medians of ${rounds} rounds of ${roundSeconds - uncountedSeconds} s`,
      );
      console.table(
        Object.fromEntries(
          Object.entries(measured).map(([name, { added, total, first, cpuMicrosPerCall, mostPerSecond }]) => [
            name,
            {
              "added ms": name === "directly" ? "" : three(added),
              "in all": three(total),
              [`first ${warmUpSeconds} s`]: three(first),
              "CPU µs a call": Math.round(cpuMicrosPerCall),
              [`${callers} callers, calls/s`]: Math.round(mostPerSecond),
            },
          ]),
        ),
      );
      console.log(`The machine was busy to ${percent(busy)}; ${percent(stolen)} of its time went to other machines`);
      console.log(
        `1 GiB there and back: ${round(gigabyte.seconds)} s, at most ${Math.round(gigabyte.growthMiB)} MiB more`,
      );
    }
    for (const name of names) {
      if (added[name] <= bars[name]) continue;
      const others = Object.entries(measured).filter(([way]) => way !== "directly" && way !== "mecha");
      const beside = others.map(([way, other]) => `; ${way} ${other.added[name].toFixed(2)}`).join("");
      console.error(`✗ ${name.slice(0, 3)}: ${added[name].toFixed(2)} ms added, not ${bars[name]}${beside}`);
      process.exitCode = 1;
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

await main();
