import type { Event } from "@mecha/api/pubsub";
import type { DeliverySource, GroupSettings } from "@mecha/component";
import type { LiveComponent } from "../components/live.js";
import type { RelationContext, ServiceContext } from "../config/kind.js";
import { type BindingPlan, bindingSource, planBinding } from "./binding-source.js";
import type { SubscriptionPlan } from "./plan.js";
import type { SubscriptionSpec } from "./resource.js";
import { planTopic, type TopicPlan, topicSource } from "./topic-source.js";

/** Where a subscription's events come from. */
export type SourcePlan = TopicPlan | BindingPlan;

/** A source that runs. */
export interface OpenSource {
  /** The component that it is over. */
  readonly live: LiveComponent;
  readonly items: DeliverySource;
  readonly settings: GroupSettings;
  /** Names a delivery. */
  idOf(attempt: number, handle: string): string;
  /** Reads what was stored; undefined if the subscription does not want it. */
  read(payload: Uint8Array): Event | undefined;
}

/** All that is special to one kind of source. */
export interface SourceKind<Plan extends SourcePlan = SourcePlan> {
  /** Judges it together with the components; problems are added. */
  check(plan: SubscriptionPlan, source: Plan, context: RelationContext): void;
  /** What at most one subscription of an app may take from, in words: `group "shop" of topic "orders"`. */
  describe(source: Plan, context: Omit<RelationContext, "problems">): string;
  /** What keeps two subscriptions from taking from the same, in words. */
  readonly remedy: string;
  /** Opens it, making what is stored for it. Throws what the component says. */
  open(source: Plan, context: ServiceContext): Promise<OpenSource>;
  /** What `mecha info` tells of it; empty where there is no topic and no group. */
  info(source: Plan, appId: string): { readonly topic: string; readonly group: string };
}

/** Every kind of source: adding one adds a line, and its case to {@link planSource}. */
export const sources: Readonly<Record<SourcePlan["type"], SourceKind>> = {
  topic: topicSource,
  binding: bindingSource,
};

/** The source that a resource names. */
export function planSource(spec: SubscriptionSpec): SourcePlan {
  return spec.binding === undefined ? planTopic(spec) : planBinding(spec, spec.binding);
}
