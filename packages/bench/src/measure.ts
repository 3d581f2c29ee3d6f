/** One way of doing something. */
export interface Subject {
  readonly name: string;
  /** What answers at once is not awaited. */
  run(index: number): unknown;
}

/** What a call of a subject takes. */
export interface Figures {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** CPU of this process per call. */
  readonly clientMicros: number;
  /** CPU of the server per call. */
  readonly serverMicros: number;
}

export interface MeasureOptions {
  readonly callers: number;
  readonly rounds: number;
  readonly roundMs: number;
  /** All CPU that the server has used, in µs. */
  serverMicros(): Promise<number>;
}

/** Measures subjects that take turns, so that what else the machine does hits them alike; medians of the rounds. */
export async function compare(subjects: readonly Subject[], options: MeasureOptions): Promise<Map<string, Figures>> {
  const measured = new Map(subjects.map(({ name }): [string, Figures[]] => [name, []]));
  for (let round = -1; round < options.rounds; round++) {
    for (const subject of subjects) {
      const figures = await measure(subject, options);
      if (round >= 0) measured.get(subject.name)?.push(figures); // The first round only warms up.
    }
  }
  return new Map([...measured].map(([name, figures]) => [name, medians(figures)]));
}

async function measure(subject: Subject, { callers, roundMs, serverMicros }: MeasureOptions): Promise<Figures> {
  const latencies: number[] = [];
  const serverBefore = await serverMicros();
  const cpuBefore = process.cpuUsage();
  const start = performance.now();
  const caller = async (first: number) => {
    for (let index = first; ; index += callers) {
      const sent = performance.now();
      if (sent - start > roundMs) return;
      const answer = subject.run(index);
      if (answer instanceof Promise) await answer;
      latencies.push(performance.now() - sent);
    }
  };
  await Promise.all(Array.from({ length: callers }, (_, index) => caller(index)));
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

/** The median of each figure. */
function medians(all: readonly Figures[]): Figures {
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
  return [titles, titles.map(() => "---"), ...cells].map((line) => `| ${line.join(" | ")} |`).join("\n");
}
