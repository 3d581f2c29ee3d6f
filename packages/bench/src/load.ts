/** What a load of calls came to. */
export interface Figures {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** CPU of this process per call. */
  readonly clientMicros: number;
  /** CPU of the server per call. */
  readonly serverMicros: number;
}

/** How a load is made. */
export interface LoadOptions {
  /** Callers that each send their next call when the last one was answered. */
  readonly concurrency: number;
  readonly durationMs: number;
  /** The CPU that the server has used, in µs. Default: there is no server. */
  readonly serverMicros?: () => Promise<number>;
}

/** Calls for a while; `call` gets the number of the call. A call that answers at once is not made to wait. */
export async function measureLoad(
  call: (index: number) => unknown,
  { concurrency, durationMs, serverMicros = async () => 0 }: LoadOptions,
): Promise<Figures> {
  const latencies: number[] = [];
  const serverBefore = await serverMicros();
  const cpuBefore = process.cpuUsage();
  const start = performance.now();
  const caller = async (first: number) => {
    for (let index = first; ; index += concurrency) {
      const sent = performance.now();
      if (sent - start > durationMs) return;
      const answer = call(index);
      if (answer instanceof Promise) await answer;
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
export function medianFigures(rounds: readonly Figures[]): Figures {
  const of = (name: keyof Figures) => {
    const sorted = rounds.map((each) => each[name]).sort((a, b) => a - b);
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
