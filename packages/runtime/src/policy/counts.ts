import type { Sample, SampledMetric } from "../telemetry/metrics.js";
import type { CircuitBreaker } from "./sections/circuit-breaker.js";

/** How many apps and components are counted by name; what comes after them is counted as "other". */
const maxTargets = 500;

/** What is counted of the calls to one app or component. */
export class TargetCounts {
  /** Attempts, by how they ended: "ok", "error" (an answer that counts as one), "connect-failure", "reset", "timeout", "canceled". */
  readonly attempts: Record<string, number> = {};
  retries = 0;
  ejections = 0;
  /** Calls that were refused, by what: "bulkhead", "rate-limit", "circuit-breaker". */
  readonly refused: Record<string, number> = {};
  /** Faults that were made, by kind: "delay", "abort". */
  readonly faults: Record<string, number> = {};
  inFlight = 0;
  /** By policy. */
  readonly breakers = new Map<string, CircuitBreaker>();
  /** How many instances are left out now. */
  ejected: () => number = () => 0;

  attempt(outcome: string): void {
    count(this.attempts, outcome);
  }

  refuse(by: string): void {
    count(this.refused, by);
  }

  fault(kind: string): void {
    count(this.faults, kind);
  }
}

function count(counts: Record<string, number>, what: string): void {
  counts[what] = (counts[what] ?? 0) + 1;
}

/** Counts what policies do. */
export class PolicyCounts {
  readonly #targets = new Map<string, TargetCounts>();

  /** @param target "app/orders", "component/db" */
  of(target: string): TargetCounts {
    const name = this.#targets.has(target) || this.#targets.size < maxTargets ? target : "other";
    const known = this.#targets.get(name);
    if (known !== undefined) return known;
    const counts = new TargetCounts();
    this.#targets.set(name, counts);
    return counts;
  }

  samples(): Sample[] {
    return [...this.#targets].flatMap(([target, counts]) => samplesOf(target, counts));
  }
}

const metric = (type: SampledMetric["type"], name: string, help: string, ...labels: string[]): SampledMetric => ({
  name,
  help,
  type,
  labels: ["target", ...labels],
});

const metrics = {
  attempts: metric(
    "counter",
    "mecha_call_attempts_total",
    "Attempts of calls to apps and components, by how they ended.",
    "outcome",
  ),
  retries: metric("counter", "mecha_call_retries_total", "Attempts that followed another one of their call."),
  refused: metric("counter", "mecha_call_refusals_total", "Calls that a policy refused.", "by"),
  faults: metric("counter", "mecha_faults_injected_total", "Faults that were made on purpose.", "fault"),
  inFlight: metric("gauge", "mecha_calls_in_flight", "Calls that are under way."),
  ejections: metric("counter", "mecha_ejections_total", "How often an instance was left out for its errors."),
  ejected: metric("gauge", "mecha_ejected_instances", "Instances that are left out now."),
  breaker: metric("gauge", "mecha_circuit_breaker_state", "Circuit breakers: 0 closed, 1 half open, 2 open.", "policy"),
};

const breakerStates = { closed: 0, "half-open": 1, open: 2 };

function samplesOf(target: string, counts: TargetCounts): Sample[] {
  const one = (metric: SampledMetric, value: number, labels: Record<string, string> = {}): Sample => {
    return { metric, labels: { target, ...labels }, value };
  };
  const each = (metric: SampledMetric, label: string, values: Record<string, number>) =>
    Object.entries(values).map(([name, value]) => one(metric, value, { [label]: name }));
  return [
    ...each(metrics.attempts, "outcome", counts.attempts),
    one(metrics.retries, counts.retries),
    ...each(metrics.refused, "by", counts.refused),
    ...each(metrics.faults, "fault", counts.faults),
    one(metrics.inFlight, counts.inFlight),
    ...(target.startsWith("app/")
      ? [one(metrics.ejections, counts.ejections), one(metrics.ejected, counts.ejected())]
      : []),
    ...[...counts.breakers].map(([policy, { state }]) => one(metrics.breaker, breakerStates[state], { policy })),
  ];
}
