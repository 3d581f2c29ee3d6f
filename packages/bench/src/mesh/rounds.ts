import { cpuMicros } from "../cpu.ts";
import { StolenTime, watchMachine } from "../machine.ts";
import { type Call, paced, throughput } from "./load.ts";
import type { Way } from "./peers.ts";
import { differenceOf, type Percentiles, percentilesOf } from "./percentiles.ts";

/** How the ways are measured. */
export interface Plan {
  readonly perSecond: number;
  /** How long each way is called before anything counts: until V8 has compiled what is called often, the last of it after some 10,000 calls. */
  readonly warmUpSeconds: number;
  readonly rounds: { readonly atLeast: number; readonly atMost: number };
  /** Rounds go on until each way was called for so many seconds in which the host gave no processor to another machine. */
  readonly quietSeconds: number;
  /** How long a round counts, after a second that does not: its connections are new, and the first call on each pays for that. */
  readonly roundSeconds: number;
  /** In the end: as many calls as so many callers make, for so long. */
  readonly callers: number;
  readonly throughputSeconds: number;
}

/** What calls took on one way, and how much more than directly. */
export interface Took {
  readonly seconds: number;
  readonly total: Percentiles;
  readonly added: Percentiles;
}

export interface Measured {
  /** In all seconds that count. */
  readonly all: Took;
  /** In those in which the host gave no processor to another machine. On a machine of one's own these are all. */
  readonly quiet: Took;
  /** In the warm-up. */
  readonly first: Percentiles;
  /** CPU of the processes between the caller and the app. */
  readonly cpuMicrosPerCall: number;
  readonly mostPerSecond: number;
}

const uncountedSeconds = 1;

/** Calls each way, in turns, so that what else the machine does hits all alike. The others are compared with `directly`. */
export async function measure(ways: Readonly<Record<"directly" | string, Way>>, plan: Plan) {
  const samples: (Way & { readonly name: string; readonly first: Percentiles; readonly sample: Sample })[] = [];
  for (const [name, way] of Object.entries(ways)) {
    const first = percentilesOf(took(await paced(way.url, plan.perSecond, plan.warmUpSeconds)));
    samples.push({ ...way, name, first, sample: new Sample() });
  }
  const isQuietEnough = ({ sample }: { readonly sample: Sample }) =>
    sample.quiet.length >= plan.quietSeconds * plan.perSecond;
  const seconds = uncountedSeconds + plan.roundSeconds;

  const machine = watchMachine();
  using stolen = new StolenTime();
  let rounds = 0;
  while (rounds < plan.rounds.atLeast || (rounds < plan.rounds.atMost && !samples.every(isQuietEnough))) {
    for (const { url, pids, sample } of samples) {
      const before = cpuMicros(...pids);
      sample.add(await paced(url, plan.perSecond, seconds, uncountedSeconds), stolen);
      sample.cpuMicrosPerCall.push((cpuMicros(...pids) - before) / (plan.perSecond * seconds));
    }
    rounds++;
  }
  const load = machine();

  const directly = samples.find(({ name }) => name === "directly")?.sample ?? new Sample();
  const measured: Record<string, Measured> = {};
  for (const { name, url, first, sample } of samples) {
    measured[name] = {
      all: compare(sample.all, directly.all, plan.perSecond),
      quiet: compare(sample.quiet, directly.quiet, plan.perSecond),
      first,
      cpuMicrosPerCall: sample.cpuMicrosPerCall.reduce((sum, each) => sum + each, 0) / rounds,
      mostPerSecond: await throughput(url, plan.callers, plan.throughputSeconds),
    };
  }
  return { measured, rounds, ...load };
}

/** What was seen of one way, in ms: of all calls that count, and of those in quiet seconds. */
class Sample {
  readonly all: number[] = [];
  readonly quiet: number[] = [];
  readonly cpuMicrosPerCall: number[] = [];

  add(calls: readonly Call[], stolen: StolenTime): void {
    const began = calls[0]?.atMs ?? 0;
    const bySecond = Map.groupBy(calls, ({ atMs }) => Math.floor((atMs - began) / 1_000));
    for (const [second, inSecond] of bySecond) {
      const [fromMs, toMs] = [began + second * 1_000, began + (second + 1) * 1_000];
      this.all.push(...took(inSecond));
      if (stolen.isNone(fromMs, toMs)) this.quiet.push(...took(inSecond));
    }
  }
}

const took = (calls: readonly Call[]) => calls.map(({ ms }) => ms);

function compare(calls: readonly number[], directly: readonly number[], perSecond: number): Took {
  const total = percentilesOf(calls);
  return { seconds: calls.length / perSecond, total, added: differenceOf(total, percentilesOf(directly)) };
}
