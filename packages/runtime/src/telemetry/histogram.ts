/** Counts durations at a cost of nanoseconds; the text for Prometheus is made when it is asked for. */
export interface Histogram {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
  /** The series of these label values, in the order of their names; asked for once, then kept. */
  series(...labels: readonly string[]): Series;
  readonly all: Iterable<Series>;
}

/** The durations of one set of labels: `counts[i]` took at most `boundsS[i]`, the last ones longer. Not cumulative. */
export interface Series {
  readonly labels: readonly string[];
  readonly counts: Float64Array;
  readonly sum: number;
  observe(seconds: number): void;
}

/** Upper bounds of the buckets, in seconds: from an embedded read to a call that waited for infrastructure. */
export const boundsS = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
] as const;

/** How many series a histogram has at the most: what comes then is counted under "other". */
const maxSeries = 2_000;

/** Creates an empty histogram. Its label values must come from what is bounded, or be few. */
export function createHistogram(name: string, help: string, labelNames: readonly string[]): Histogram {
  const all = new Map<string, Series>();
  return {
    name,
    help,
    labelNames,
    series(...labels) {
      const key = labels.join("\0");
      const known = all.get(key);
      if (known !== undefined) return known;
      const isFull = all.size >= maxSeries;
      const made = createSeries(isFull ? labels.map(() => "other") : labels);
      const kept = isFull ? (all.get(made.labels.join("\0")) ?? made) : made;
      all.set(kept.labels.join("\0"), kept);
      return kept;
    },
    all: { [Symbol.iterator]: () => all.values() },
  };
}

function createSeries(labels: readonly string[]): Series {
  const counts = new Float64Array(boundsS.length + 1);
  let sum = 0;
  return {
    labels,
    counts,
    get sum() {
      return sum;
    },
    observe(seconds) {
      let bucket = 0;
      while (bucket < boundsS.length && seconds > (boundsS[bucket] ?? 0)) bucket++;
      counts[bucket] = (counts[bucket] ?? 0) + 1;
      sum += seconds;
    },
  };
}
