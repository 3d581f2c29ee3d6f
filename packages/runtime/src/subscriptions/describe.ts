import type { MessageInitShape } from "@bufbuild/protobuf";
import { type SubscriptionSchema, SubscriptionState } from "@mecha/api/runtime";
import type { Sample, SampledMetric } from "../telemetry/metrics.js";
import { sources } from "./sources.js";
import type { Subscription } from "./subscription.js";

/** A subscription as `GetInfo` tells of it. */
export function describeSubscription(subscription: Subscription): MessageInitShape<typeof SubscriptionSchema> {
  const { plan, counts, context } = subscription;
  const paths = plan.rules.map(({ path }) => path);
  if (plan.path !== undefined) paths.push(plan.path);
  return {
    name: plan.name,
    component: subscription.component,
    ...sources[plan.source.type].info(plan.source, context.identity.appId),
    paths,
    state: SubscriptionState[subscription.state],
    lastError: subscription.lastError,
    inFlight: counts.inFlight,
    acked: BigInt(counts.acked),
    retried: BigInt(counts.retried),
    rejected: BigInt(counts.rejected),
    unmatched: BigInt(counts.unmatched),
  };
}

const deliveries: SampledMetric = {
  name: "mecha_subscription_deliveries_total",
  help: "What became of deliveries to the app: acked, retried, rejected, or released (handed back untried, since the app was away).",
  type: "counter",
  labels: ["subscription", "outcome"],
};

const unmatched: SampledMetric = {
  name: "mecha_subscription_unmatched_total",
  help: "Events that no rule of their subscription matched.",
  type: "counter",
  labels: ["subscription"],
};

const inFlight: SampledMetric = {
  name: "mecha_subscription_in_flight",
  help: "Events that are with the app.",
  type: "gauge",
  labels: ["subscription"],
};

/** A subscription's metrics. */
export function sampleSubscription({ plan, counts }: Subscription): Sample[] {
  const labels = { subscription: plan.name };
  return [
    ...(["acked", "retried", "rejected", "released"] as const).map((outcome) => {
      return { metric: deliveries, labels: { ...labels, outcome }, value: counts[outcome] };
    }),
    { metric: unmatched, labels, value: counts.unmatched },
    { metric: inFlight, labels, value: counts.inFlight },
  ];
}
