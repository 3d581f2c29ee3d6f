import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Counter as CounterMetric, Gauge as GaugeMetric, MetricValueWithName, Registry } from "prom-client";
import type { ComponentRegistry } from "../components/registry.js";
import { boundsS, type Histogram, type Series } from "./histogram.js";

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
  close(): void;
}

/** The metrics of this runtime, in a registry of its own. prom-client is loaded here: only a runtime that is scraped pays for it. */
export async function createMetrics(
  histograms: readonly Histogram[],
  components: ComponentRegistry,
  collect: () => Promise<readonly Sample[]>,
): Promise<Metrics> {
  const { Gauge, Counter, Histogram: PromHistogram, Registry } = await import("prom-client");
  const registry: Registry = new Registry();
  const registers = [registry];

  // What was counted already is handed over when it is asked for; prom-client's own counting would cost every call more than a state read.
  for (const { name, help, labelNames, all } of histograms) {
    const blank = new PromHistogram({ name, help, registers: [] });
    class RecordedHistogram extends PromHistogram {
      /** What the registry asks a histogram for. */
      async getForPromString() {
        return { ...(await blank.get()), values: [...all].flatMap((series) => valuesOf(name, labelNames, series)) };
      }
    }
    new RecordedHistogram({ name, help, registers });
  }
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
  // Measured from the first scrape on: the timer behind it costs, and nobody looks before.
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  new Gauge({
    name: "nodejs_eventloop_delay_seconds",
    help: "How late the event loop was, since the last scrape.",
    labelNames: ["quantile"],
    registers,
    collect() {
      for (const quantile of [0.5, 0.9, 0.99])
        this.set({ quantile }, Math.max(0, delay.percentile(quantile * 100) / 1e9 - 0.02));
      delay.reset();
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
    close: () => void delay.disable(),
  };
}

function valuesOf(
  name: string,
  labelNames: readonly string[],
  { labels: given, counts, sum }: Series,
): MetricValueWithName<string>[] {
  const labels = Object.fromEntries(labelNames.map((label, index) => [label, given[index] ?? ""]));
  let total = 0;
  const buckets = [...counts].map((count, index) => {
    total += count;
    return { metricName: `${name}_bucket`, labels: { ...labels, le: boundsS[index] ?? "+Inf" }, value: total };
  });
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: total },
  ];
}
