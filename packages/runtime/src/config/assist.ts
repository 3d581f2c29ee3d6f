import type { ComponentPlan } from "./component-plan.js";
import type { Problem } from "./problem.js";
import { problemOf } from "./resource.js";
import { didYouMean } from "./suggest.js";

/** Gives every component that needs a state store beside it the one that its resource names, else the default one. */
export function assignStores(components: readonly ComponentPlan[], problems: Problem[]): ComponentPlan[] {
  const stores = components.filter(({ blocks }) => blocks.includes("state"));
  return components.map((plan) => {
    const { needsStore, type } = plan.definition;
    const add = (message: string) => problems.push(problemOf(plan, message, ["spec", "assist", "store"]));
    if (needsStore === undefined) {
      if (plan.store !== undefined) add(`type "${type}" keeps nothing in a store; leave assist out`);
      return plan;
    }
    const store = stores.find(({ name, defaults }) => {
      return plan.store === undefined ? defaults.includes("state") : name === plan.store;
    });
    if (store === undefined) {
      const names = stores.map(({ name }) => name);
      const there =
        names.length === 0 ? "no component serves state; add one" : `state is served by ${names.join(", ")}`;
      add(
        plan.store === undefined
          ? `type "${type}" needs a state store, and there is no default one: ${there}`
          : `there is no state store "${plan.store}"${didYouMean(plan.store, names) || `; ${there}`}`,
      );
      return plan;
    }
    const features = store.definition.serves.state?.features ?? [];
    const lacking = needsStore.filter((feature) => !features.includes(feature));
    if (lacking.length > 0)
      add(`type "${type}" needs a state store with ${lacking.join(", ")}, which "${store.name}" has not`);
    return { ...plan, store: store.name };
  });
}
