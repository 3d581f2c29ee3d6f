import type { Event } from "@mecha/api/pubsub";
import { compileExpression, viewOf } from "../blocks/pubsub/filter.js";
import type { SubscriptionPlan } from "./plan.js";

/** The path of the app that an event goes to: that of the first rule that matches, else the default one; undefined if there is none. */
export type Router = (event: Event) => string | undefined;

/** Compiles a subscription's rules once. `onFailure` is told of a rule that fails on an event, which does not match it then. */
export async function createRouter(
  { rules, path }: Pick<SubscriptionPlan, "rules" | "path">,
  onFailure: (error: Error) => void,
): Promise<Router> {
  if (rules.length === 0) return () => path;
  const compiled = await Promise.all(
    rules.map(async (rule) => ({ matches: await compileExpression(rule.match, onFailure), path: rule.path })),
  );
  return (event) => {
    const view = viewOf(event);
    return compiled.find(({ matches }) => matches(view))?.path ?? path;
  };
}
