import { monitorEventLoopDelay } from "node:perf_hooks";

/** One way of doing something. */
export interface Subject {
  readonly name: string;
  /** What answers at once is not awaited. */
  run(index: number): unknown;
  /** How many things a call did, told from its answer: rates and CPU are for each of them. Default: one. */
  sizeOf?(answer: unknown): number;
  /** Default: the options'. */
  readonly callers?: number;
}

/** What a call of a subject takes. */
export interface Figures {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** CPU of this process, its threads included, for each thing done. */
  readonly clientMicros: number;
  /** CPU of the server for each thing done. */
  readonly serverMicros: number;
  /** How late this process's event loop was, including 1 ms or so, which is the resolution of its measurement. */
  readonly loopP99Ms: number;
}

export interface MeasureOptions {
  readonly callers: number;
  readonly rounds: number;
  readonly roundMs: number;
  /** All CPU that the server has used, in µs. Default: there is no server. */
  serverMicros?(): Promise<number> | number;
}

/** Measures subjects that take turns; medians of the rounds. */
export function compare(subjects: readonly Subject[], options: MeasureOptions): Promise<Map<string, Figures>> {
  const turns = subjects.map((subject) => [subject.name, () => measure(subject, options)] as const);
  return takeTurns(options.rounds, turns);
}

/** Measures by turns, so that what else the machine does hits all alike; medians of the rounds. */
export async function takeTurns(
  rounds: number,
  turns: readonly (readonly [name: string, measure: () => Promise<Figures>])[],
): Promise<Map<string, Figures>> {
  const measured = new Map(turns.map(([name]): [string, Figures[]] => [name, []]));
  for (let round = -1; round < rounds; round++) {
    for (const [name, measure] of turns) {
      const figures = await measure();
      if (round >= 0) measured.get(name)?.push(figures); // The first round only warms up.
    }
  }
  return new Map([...measured].map(([name, figures]) => [name, medians(figures)]));
}

/** Calls a subject, by some callers at once, for a while. */
export function measure(subject: Subject, options: MeasureOptions): Promise<Figures> {
  const { sizeOf = () => 1, callers = options.callers } = subject;
  return record(options, async (add) => {
    const start = performance.now();
    const caller = async (first: number) => {
      let turned = start;
      for (let index = first; ; index += callers) {
        const sent = performance.now();
        if (sent - start > options.roundMs) return;
        const promised = subject.run(index);
        const answer = promised instanceof Promise ? await promised : promised;
        const answered = performance.now();
        add(answered - sent, sizeOf(answer));
        if (promised instanceof Promise || answered - turned < 1) continue;
        // What answers at once must let the loop turn now and then, as a server does.
        await new Promise(setImmediate);
        turned = performance.now();
      }
    };
    await Promise.all(Array.from({ length: callers }, (_, index) => caller(index)));
  });
}

/** Measures some work, which says of each call how long it took and how many things it did. */
export async function record(
  { serverMicros = () => 0 }: Pick<MeasureOptions, "serverMicros">,
  work: (add: (latencyMs: number, size: number) => void) => Promise<void>,
): Promise<Figures> {
  const latencies: number[] = [];
  let done = 0;
  const loop = monitorEventLoopDelay({ resolution: 1 });
  const serverBefore = await serverMicros();
  loop.enable();
  const cpuBefore = process.cpuUsage();
  const start = performance.now();
  await work((latencyMs, size) => {
    latencies.push(latencyMs);
    done += size;
  });
  const elapsedMs = performance.now() - start;
  const { user, system } = process.cpuUsage(cpuBefore);
  loop.disable();
  const serverAfter = await serverMicros();
  latencies.sort((a, b) => a - b);
  const at = (share: number) => latencies[Math.floor(latencies.length * share)] ?? Number.NaN;
  return {
    perSecond: (done / elapsedMs) * 1000,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    clientMicros: (user + system) / done,
    serverMicros: (serverAfter - serverBefore) / done,
    loopP99Ms: loop.percentile(99) / 1e6,
  };
}

/** The median of each figure. */
export function medians(all: readonly Figures[]): Figures {
  const of = (name: keyof Figures) => {
    const sorted = all.map((each) => each[name]).sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  };
  return {
    perSecond: of("perSecond"),
    p50Ms: of("p50Ms"),
    p99Ms: of("p99Ms"),
    clientMicros: of("clientMicros"),
    serverMicros: of("serverMicros"),
    loopP99Ms: of("loopP99Ms"),
  };
}

/** A table of figures, behind the columns that say what was measured. */
export function renderFigures(
  labels: readonly string[],
  rows: readonly (readonly [label: string[], Figures])[],
): string {
  const titles = [...labels, "calls/s", "p50 ms", "p99 ms", "µs CPU here", "µs CPU server"];
  const cells = rows.map(([label, { perSecond, p50Ms, p99Ms, clientMicros, serverMicros }]) => [
    ...label,
    Math.round(perSecond).toLocaleString("en"),
    p50Ms.toFixed(4),
    p99Ms.toFixed(4),
    clientMicros.toFixed(1),
    serverMicros.toFixed(1),
  ]);
  return renderTable(titles, cells);
}

/** A Markdown table. */
export const renderTable = (titles: readonly string[], rows: readonly (readonly string[])[]): string =>
  [titles, titles.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
