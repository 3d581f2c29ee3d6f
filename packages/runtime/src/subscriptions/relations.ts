import { isDeepStrictEqual } from "node:util";
import type { RelationContext } from "../config/kind.js";
import { problemOf } from "../config/resource.js";
import type { SubscriptionPlan } from "./plan.js";
import { sources } from "./sources.js";

/** Judges subscriptions together with the components and with each other. */
export function relateSubscriptions(plans: readonly SubscriptionPlan[], context: RelationContext): void {
  for (const plan of plans) sources[plan.source.type].check(plan, plan.source, context);
  const takers = new Map<string, SubscriptionPlan[]>();
  for (const plan of plans) {
    const from = sources[plan.source.type].describe(plan.source, context);
    const others = takers.get(from) ?? [];
    const other = others.find((candidate) => haveCommonApp(candidate, plan));
    if (other !== undefined)
      context.problems.push(
        problemOf(plan, conflict(plan, other, from), ["spec", plan.source.type === "topic" ? "group" : "binding"]),
      );
    takers.set(from, [...others, plan]);
  }
}

function conflict(plan: SubscriptionPlan, other: SubscriptionPlan, from: string): string {
  const where = `subscription "${other.name}" at ${other.document.sourceOf([])}`;
  const { settings } = plan.source;
  const differs = Object.entries(other.source.settings).flatMap(([name, value]) =>
    isDeepStrictEqual(value, settings[name as keyof typeof settings]) ? [] : [name],
  );
  const { remedy } = sources[plan.source.type];
  return differs.length === 0
    ? `${where} takes from ${from} too: each event would go to one of the two; ${remedy}`
    : `${where} has other settings for ${from}: ${differs.join(", ")}; a group has one of each: ${remedy}`;
}

/** Groups belong to apps: those of different apps are different, whatever their names. */
function haveCommonApp(a: SubscriptionPlan, b: SubscriptionPlan): boolean {
  return a.scopes === undefined || b.scopes === undefined || a.scopes.some((id) => b.scopes?.includes(id));
}
