// What a call from app to app through two runtimes costs, mutual TLS, policies and telemetry and all, against the same call made directly, and through
// what else one puts between two apps, in the same run.
//
//   pnpm bench mesh [--json]
//   pnpm --filter @mecha/bench exec node src/mesh.ts --traced 0.01
//
// h2load calls an app that echoes: directly, through the runtimes "shop" and "orders", through two nginx, and through two of Dapr's sidecars, those of
// the last two that are installed. With `--traced` the runtimes trace that part of the calls. Requests leave at a fixed rate, whether the ones before
// were answered or not. Not measured: what a second runtime's machine or a network would add; all processes share this machine's cores. A host that
// gives these to other machines stops everything at once, for milliseconds: what calls take is told for all seconds, and for the quiet ones, in which it
// did not. The bars are for the quiet ones.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { sendBig } from "./mesh/big.ts";
import { Collector } from "./mesh/collector.ts";
import { startDapr, startMecha, startNginx, type Way } from "./mesh/peers.ts";
import { type Percentiles, percentileNames } from "./mesh/percentiles.ts";
import { Processes } from "./mesh/processes.ts";
import { type Measured, measure, type Plan } from "./mesh/rounds.ts";

const bars: Percentiles = { p50Ms: 0.8, p90Ms: 1.5, p99Ms: 3 };
const plan: Plan = {
  perSecond: 1_000,
  warmUpSeconds: 20,
  rounds: { atLeast: 5, atMost: 12 },
  quietSeconds: 30,
  roundSeconds: 10,
  callers: 32,
  throughputSeconds: 3,
};
/** With fewer quiet seconds than this, their last percentile rests on too few calls, and all seconds are judged. */
const quietSecondsToJudge = 10;
const bigBytes = 1024 ** 3;

const round = (value: number) => Number(value.toFixed(2));
const percent = (share: number) => `${Math.round(share * 100)} %`;
/** A way may have had no quiet second. */
const three = ({ p50Ms, p90Ms, p99Ms }: Percentiles) =>
  Number.isNaN(p50Ms) ? "none" : [p50Ms, p90Ms, p99Ms].map(round).join(" / ");

const rowOf = ({ all, quiet, first, cpuMicrosPerCall, mostPerSecond }: Measured) => ({
  "quiet s": Math.round(quiet.seconds),
  "added, quiet": three(quiet.added),
  "in all, quiet": three(quiet.total),
  "added, all s": three(all.added),
  "in all, all s": three(all.total),
  [`first ${plan.warmUpSeconds} s`]: three(first),
  "CPU µs a call": Math.round(cpuMicrosPerCall),
  [`${plan.callers} callers, calls/s`]: Math.round(mostPerSecond),
});

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { json: { type: "boolean", default: false }, traced: { type: "string" } } });
  const folder = await mkdtemp(join(tmpdir(), "mecha-mesh-"));
  try {
    await using collector = await Collector.start();
    await using processes = new Processes();
    const traced = values.traced === undefined ? undefined : { collector, share: Number(values.traced) };
    const app = await processes.startNode(
      [fileURLToPath(new URL("./mesh/app.ts", import.meta.url))],
      { cwd: folder },
      /^(http:.*)$/,
    );
    const options = { processes, folder, appPort: Number(new URL(app.found).port) };
    const mecha = await startMecha(options, traced);
    const [nginx, dapr] = [await startNginx(options), await startDapr(options)];
    for (const [name, way] of Object.entries({ nginx, "daprd and sentry": dapr })) {
      if (way === undefined) console.error(`Not compared: ${name}, which this machine has not.`);
    }
    const directly: Way = { url: `${app.found}/echo`, pids: [] };
    const ways = { directly, mecha, ...(nginx && { nginx }), ...(dapr && { dapr }) };
    const { measured, rounds, busy, stolen } = await measure(ways, plan);
    const gigabyte = await sendBig(mecha.url, bigBytes, mecha.pids);
    if (traced !== undefined && collector.receivedBytes === 0)
      throw new Error("the runtimes sent no traces: this measured less than it says");
    const isQuiet = Object.values(measured).every(({ quiet }) => quiet.seconds >= quietSecondsToJudge);
    const judged = isQuiet ? "quiet" : "all";
    if (values.json) {
      const { perSecond } = plan;
      console.log(JSON.stringify({ perSecond, bars, judged, measured, gigabyte, rounds, busy, stolen }));
    } else {
      const { perSecond, roundSeconds } = plan;
      console.log(
        `1 KiB echo at ${perSecond} calls/s, mutual TLS between what is in between; p50 / p90 / p99 in ms of ${rounds} rounds of ${roundSeconds} s`,
      );
      console.table(Object.fromEntries(Object.entries(measured).map(([name, way]) => [name, rowOf(way)])));
      console.log(`The machine was busy to ${percent(busy)}; ${percent(stolen)} of its time went to other machines`);
      console.log(
        `1 GiB there and back: ${round(gigabyte.seconds)} s, at most ${Math.round(gigabyte.growthMiB)} MiB more`,
      );
      if (!isQuiet) console.log(`Judged in all seconds: of quiet ones there were less than ${quietSecondsToJudge}.`);
    }
    for (const name of percentileNames) {
      const added = measured.mecha?.[judged].added[name] ?? Number.NaN;
      if (added <= bars[name]) continue;
      const others = Object.entries(measured).filter(([way]) => way !== "directly" && way !== "mecha");
      const beside = others.map(([way, other]) => `; ${way} ${other[judged].added[name].toFixed(2)}`).join("");
      console.error(`✗ ${name.slice(0, 3)}: ${added.toFixed(2)} ms added, not ${bars[name]}${beside}`);
      process.exitCode = 1;
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

await main();
