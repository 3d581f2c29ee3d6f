import type { Clock } from "@mecha/component";
import { createHistogram, type Histogram } from "./histogram.js";
import type { Sample, SampledMetric } from "./metrics.js";
import type { OpenSpan, Tracing } from "./tracing.js";

/** How a delivery ended: as it was settled, or unsettled when its time was up. */
export type DeliveryOutcome = "ack" | "retry" | "dead" | "release" | "expired";

/** What a delivery tells of the item that it is of. */
export interface DeliveredItem {
  /** When it came into being, ms since the epoch; undefined if it does not say. */
  readonly time: number | undefined;
  /** The trace that it belongs to, as W3C's `traceparent`. */
  readonly traceparent: string | undefined;
}

/** What becomes of one component's deliveries to the app. */
export interface DeliveryRecord {
  /** An attempt begins; what is returned is handed to `end`. */
  begin(item: DeliveredItem, attempt: number): OpenSpan | undefined;
  end(span: OpenSpan | undefined, outcome: DeliveryOutcome): void;
  /** An attempt that is handed out by Pull, and settled by a call of its own: nobody knows how many are open. */
  pulled(item: DeliveredItem, attempt: number): void;
  settled(outcome: DeliveryOutcome): void;
}

/** A record, and what an item tells it of itself. */
export interface Recorded<Item> {
  readonly record: DeliveryRecord;
  tell(item: Item): DeliveredItem;
}

/** Counts what flows to the app, and traces it if there is something to trace with. */
export interface DeliveryTelemetry {
  /** The record of what a component delivers for a block; asked for once, then kept. */
  of(block: string, component: string): DeliveryRecord;
  readonly lag: Histogram;
  metrics(): readonly Sample[];
}

const labels = ["block", "component"] as const;

const outcomes: SampledMetric = {
  name: "mecha_deliveries_total",
  help: "How deliveries to the app ended: ack, retry, dead (a dead letter), release (handed back untried), or expired (unsettled in time).",
  type: "counter",
  labels: [...labels, "outcome"],
};
const inFlight: SampledMetric = {
  name: "mecha_deliveries_in_flight",
  help: "Deliveries that are with the app, on streams and by push.",
  type: "gauge",
  labels: [...labels],
};

export function createDeliveryTelemetry(clock: Clock, tracing: Tracing | undefined): DeliveryTelemetry {
  const lag = createHistogram(
    "mecha_delivery_lag_seconds",
    "How old events were, by their time, when they were first delivered.",
    labels,
  );
  const records = new Map<string, { readonly record: DeliveryRecord; samples(): Sample[] }>();

  const create = (block: string, component: string) => {
    const counts: Record<DeliveryOutcome, number> = { ack: 0, retry: 0, dead: 0, release: 0, expired: 0 };
    const series = lag.series(block, component);
    let open = 0;
    const observeLag = ({ time }: DeliveredItem, attempt: number) => {
      if (attempt === 1 && time !== undefined) series.observe(Math.max(0, clock.now() - time) / 1000);
    };
    const record: DeliveryRecord = {
      begin(item, attempt) {
        const { traceparent } = item;
        open += 1;
        observeLag(item, attempt);
        return tracing?.delivery({ block, component, attempt, traceparent });
      },
      end(span, outcome) {
        open -= 1;
        counts[outcome] += 1;
        span?.end({ "mecha.outcome": outcome }, outcome === "retry" || outcome === "dead" ? outcome : undefined);
      },
      pulled: observeLag,
      settled(outcome) {
        counts[outcome] += 1;
      },
    };
    const samples = () => [
      ...Object.entries(counts).map(([outcome, value]) => ({
        metric: outcomes,
        labels: { block, component, outcome },
        value,
      })),
      { metric: inFlight, labels: { block, component }, value: open },
    ];
    return { record, samples };
  };

  return {
    of(block, component) {
      const key = `${block}/${component}`;
      const known = records.get(key) ?? create(block, component);
      records.set(key, known);
      return known.record;
    },
    lag,
    metrics: () => [...records.values()].flatMap(({ samples }) => samples()),
  };
}
