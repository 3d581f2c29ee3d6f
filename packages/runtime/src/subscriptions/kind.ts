import type { Kind } from "../config/kind.js";
import { planSubscription, type SubscriptionPlan } from "./plan.js";
import { relateSubscriptions } from "./relations.js";
import { type SubscriptionResource, subscriptionResource } from "./resource.js";
import { createSubscriptionService } from "./service.js";

/** `kind: Subscription`: events that the runtime posts to the app. */
export const subscriptionKind: Kind<SubscriptionResource, SubscriptionPlan> = {
  kind: "Subscription",
  schema: subscriptionResource,
  plan: planSubscription,
  relate: relateSubscriptions,
  start: createSubscriptionService,
};
