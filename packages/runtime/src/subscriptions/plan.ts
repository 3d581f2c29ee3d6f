import { compileExpression } from "../blocks/pubsub/filter.js";
import type { ResourceDocument } from "../config/documents.js";
import type { PlanContext } from "../config/kind.js";
import { problemOf, type ResourcePlan } from "../config/resource.js";
import { formatPath } from "../config/validate.js";
import type { SubscriptionResource } from "./resource.js";
import { planSource, type SourcePlan } from "./sources.js";

/** A subscription as its resource wants it. */
export interface SubscriptionPlan extends ResourcePlan {
  readonly kind: "Subscription";
  readonly source: SourcePlan;
  /** In the order in which they are asked. */
  readonly rules: readonly { readonly match: string; readonly path: string }[];
  /** Where what no rule matches goes; undefined: nowhere, see `noMatch`. */
  readonly path: string | undefined;
  readonly noMatch: "reject" | "ack";
  readonly format: "binary" | "structured" | "batched";
  readonly batch: { readonly maxEvents: number; readonly maxBytes: number; readonly maxWaitMs: number };
  /** Requests at a time. */
  readonly concurrency: number;
  /** The app ids whose runtimes deliver it; undefined: all. */
  readonly scopes: readonly string[] | undefined;
}

/** Tells subscriptions from what else is planned. */
export function isSubscription(plan: ResourcePlan): plan is SubscriptionPlan {
  return plan.kind === "Subscription";
}

/** One request an event. */
const single = { maxEvents: 1, maxBytes: 1, maxWaitMs: 0 };
const defaultBatch = { maxEvents: 100, maxBytes: 1024 * 1024, maxWait: 0 };

/** Plans one document. */
export async function planSubscription(
  { metadata, spec }: SubscriptionResource,
  document: ResourceDocument,
  { problems }: PlanContext,
): Promise<SubscriptionPlan> {
  const { maxEvents, maxBytes, maxWait } = spec.batch ?? defaultBatch;
  const plan: SubscriptionPlan = {
    kind: "Subscription",
    name: metadata.name,
    document,
    source: planSource(spec),
    rules: spec.rules ?? [],
    path: spec.path,
    noMatch: spec.noMatch ?? "reject",
    format: spec.format,
    batch: spec.format === "batched" ? { maxEvents, maxBytes, maxWaitMs: maxWait } : single,
    concurrency: spec.concurrency,
    scopes: spec.scopes,
  };
  const add = (message: string, ...path: PropertyKey[]) => problems.push(problemOf(plan, message, ["spec", ...path]));

  if ((spec.topic === undefined) === (spec.binding === undefined)) {
    add('it needs one of "topic" and "binding": say where its events come from');
  }
  if (spec.binding !== undefined) {
    for (const field of ["pubsub", "group", "ordered", "start"] as const) {
      if (spec[field] !== undefined) add(`"${field}" is for events of a topic; those of a binding have none`, field);
    }
  }
  if (plan.path === undefined && plan.rules.length === 0) {
    add('it has neither "path" nor "rules"; say which path of the app the events are posted to: path: /orders');
  }
  if (plan.path !== undefined && spec.noMatch !== undefined) {
    add('"noMatch" would never be asked: "path" takes what no rule matches; remove one of them', "noMatch");
  }
  if (spec.batch !== undefined && spec.format !== "batched") {
    add(`"batch" is for format: batched; this one is ${spec.format}`, "batch");
  }
  if (maxWait * 2 > plan.source.settings.ackTimeoutMs) {
    add('"batch.maxWait" must be at most half of "ackTimeout": the app needs its time too', "batch", "maxWait");
  }
  const { minBackoffMs, maxBackoffMs } = plan.source.settings;
  if (maxBackoffMs < minBackoffMs) add('"retry.maxBackoff" is less than "retry.minBackoff"', "retry", "maxBackoff");
  const expressions: [string | undefined, ...PropertyKey[]][] = [
    [spec.filter, "filter"],
    ...plan.rules.map(({ match }, index): [string, ...PropertyKey[]] => [match, "rules", index, "match"]),
  ];
  for (const [source, ...path] of expressions) {
    const wrong = source === undefined ? undefined : await whyNot(source);
    if (wrong !== undefined) add(`"${formatPath(["spec", ...path])}" ${wrong}`, ...path);
  }
  return plan;
}

async function whyNot(source: string): Promise<string | undefined> {
  try {
    await compileExpression(source, () => {});
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
