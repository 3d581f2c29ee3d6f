import type { Counter as CounterMetric, Gauge as GaugeMetric, MetricValueWithName, Registry } from "prom-client";
import type { ComponentRegistry } from "../components/registry.js";

/** Upper bounds of the duration buckets, in seconds: from an embedded read to a call that waited for infrastructure. */
const boundsS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Counts calls at a cost of nanoseconds; the text for Prometheus is made when it is asked for. */
export interface CallRecorder {
  /** The record of one method; asked for once, then kept. */
  method(service: string, method: string): MethodRecord;
  records(): Iterable<MethodRecord>;
}

/** What the calls of one method took, by the code they ended with. */
export interface MethodRecord {
  readonly service: string;
  readonly method: string;
  observe(code: string, seconds: number): void;
  readonly outcomes: ReadonlyMap<string, Durations>;
}

/** A histogram: `counts[i]` calls took at most `boundsS[i]`, the last ones longer. Not cumulative. */
interface Durations {
  readonly counts: Float64Array;
  sum: number;
}

/** Creates an empty recorder. */
export function createCallRecorder(): CallRecorder {
  const methods = new Map<string, MethodRecord>();
  return {
    method(service, method) {
      const name = `${service}/${method}`;
      const known = methods.get(name);
      if (known !== undefined) return known;
      const outcomes = new Map<string, Durations>();
      const record: MethodRecord = {
        service,
        method,
        outcomes,
        observe(code, seconds) {
          let durations = outcomes.get(code);
          if (durations === undefined) {
            durations = { counts: new Float64Array(boundsS.length + 1), sum: 0 };
            outcomes.set(code, durations);
          }
          let bucket = 0;
          while (bucket < boundsS.length && seconds > (boundsS[bucket] ?? 0)) bucket++;
          durations.counts[bucket] = (durations.counts[bucket] ?? 0) + 1;
          durations.sum += seconds;
        },
      };
      methods.set(name, record);
      return record;
    },
    records: () => methods.values(),
  };
}

const durationName = "mecha_rpc_duration_seconds";
const durationHelp = "How long calls took, by the code they ended with; of a stream, how long it was open.";

/** A value that somebody else counts. */
export interface Sample {
  readonly metric: SampledMetric;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** What a {@link Sample} is of. */
export interface SampledMetric {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge";
  readonly labels: readonly string[];
}

/** What Prometheus scrapes. */
export interface Metrics {
  readonly contentType: string;
  text(): Promise<string>;
}

/** The metrics of this runtime, in a registry of its own. prom-client is loaded here: only a runtime that is scraped pays for it. */
export async function createMetrics(
  calls: CallRecorder,
  components: ComponentRegistry,
  collect: () => Promise<readonly Sample[]>,
): Promise<Metrics> {
  const { Gauge, Counter, Histogram, Registry } = await import("prom-client");
  // What was counted already is handed over when it is asked for; prom-client's own counting would cost every call more than a state read.
  const blank = new Histogram({ name: durationName, help: durationHelp, registers: [] });
  class RecordedHistogram extends Histogram {
    /** What the registry asks a histogram for. */
    async getForPromString() {
      return { ...(await blank.get()), values: [...calls.records()].flatMap(histogramValues) };
    }
  }
  const registry: Registry = new Registry();
  const registers = [registry];

  new RecordedHistogram({ name: durationName, help: durationHelp, registers });
  new Gauge({
    name: "mecha_component_healthy",
    help: "Whether a component answers.",
    labelNames: ["component", "type"],
    registers,
    collect() {
      this.reset();
      for (const { plan, health } of components.list()) {
        this.set({ component: plan.name, type: plan.definition.type }, health.healthy ? 1 : 0);
      }
    },
  });
  new Gauge({
    name: "process_resident_memory_bytes",
    help: "Resident memory of the process.",
    registers,
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
  new Counter({
    name: "process_cpu_seconds_total",
    help: "CPU time of the process, user and system.",
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6);
    },
  });
  new Gauge({
    name: "nodejs_eventloop_utilization",
    help: "The part of its time that the event loop was busy, since the process started.",
    registers,
    collect() {
      this.set(performance.eventLoopUtilization().utilization);
    },
  });

  /** One of each metric that was ever sampled; their values are replaced at every scrape. */
  const sampled = new Map<SampledMetric, GaugeMetric | CounterMetric>();
  const sample = async () => {
    const samples = await collect();
    for (const metric of sampled.values()) metric.reset();
    for (const { metric, labels, value } of samples) {
      const { name, help, type } = metric;
      const own =
        sampled.get(metric) ??
        new (type === "counter" ? Counter : Gauge)({ name, help, labelNames: metric.labels, registers });
      sampled.set(metric, own);
      own.inc({ ...labels }, value);
    }
  };
  return {
    contentType: registry.contentType,
    async text() {
      await sample();
      return registry.metrics();
    },
  };
}

function histogramValues({ service, method, outcomes }: MethodRecord): MetricValueWithName<string>[] {
  return [...outcomes].flatMap(([code, { counts, sum }]) => {
    const labels = { service, method, code };
    let total = 0;
    const buckets = [...counts].map((count, index) => {
      total += count;
      return {
        metricName: `${durationName}_bucket`,
        labels: { ...labels, le: boundsS[index] ?? "+Inf" },
        value: total,
      };
    });
    return [
      ...buckets,
      { metricName: `${durationName}_sum`, labels, value: sum },
      { metricName: `${durationName}_count`, labels, value: total },
    ];
  });
}
