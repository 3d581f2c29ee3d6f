import { type BlockName, defaultedBlocks } from "../blocks/registry.js";
import { type ComponentPlan, secretStoresOf } from "./component-plan.js";
import type { Problem } from "./problem.js";
import { problemOf, type ResourcePlan, resourceId } from "./resource.js";
import { didYouMean } from "./suggest.js";

/** Requires every resource to have a name of its own among those of its kind. */
export function checkNames(plans: readonly ResourcePlan[], problems: Problem[]): void {
  const first = new Map<string, ResourcePlan>();
  for (const plan of plans) {
    const other = first.get(resourceId(plan));
    if (other === undefined) first.set(resourceId(plan), plan);
    else {
      const where = other.document.sourceOf(["metadata", "name"]);
      const message = `there is another ${plan.kind.toLowerCase()} "${plan.name}" at ${where}; rename one`;
      problems.push(problemOf(plan, message, ["metadata", "name"]));
    }
  }
}

/** Requires the secret stores that configurations refer to, and no circle of them. */
export function checkSecretStores(components: readonly ComponentPlan[], problems: Problem[]): void {
  const stores = components.filter(({ blocks }) => blocks.includes("secret"));
  const names = [...new Set(["env", "file", ...stores.map(({ name }) => name)])];
  for (const plan of components) {
    for (const reference of plan.references) {
      if (reference.kind !== "secret" || stores.some(({ name }) => name === reference.store)) continue;
      const hint = didYouMean(reference.store, names) || `; there are: ${names.join(", ")}`;
      problems.push(
        problemOf(plan, `there is no secret store "${reference.store}"${hint}`, ["spec", "config", ...reference.path]),
      );
    }
    const cycle = findCycle(plan, components);
    if (cycle !== undefined) {
      problems.push(
        problemOf(plan, `its configuration needs secrets in a circle: ${cycle.join(" → ")}`, ["spec", "config"]),
      );
    }
  }
}

/** The names of a way from `plan` back to it over secret references. */
function findCycle(plan: ComponentPlan, components: readonly ComponentPlan[]): string[] | undefined {
  const seen = new Set<string>();
  const visit = (at: ComponentPlan, way: string[]): string[] | undefined => {
    for (const store of secretStoresOf(at)) {
      if (store === plan.name) return [...way, store];
      if (seen.has(store)) continue;
      seen.add(store);
      const next = components.find(({ name }) => name === store);
      const found = next === undefined ? undefined : visit(next, [...way, store]);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  return visit(plan, [plan.name]);
}

/**
 * Each block's default: the one that says so, or the only one that serves it. Bindings are named as a rule, and need none. Discovery, which apps do
 * not call, follows the state block where nobody says who serves it: what holds an app's state is what its runtimes share.
 */
export function chooseDefaults(components: readonly ComponentPlan[], problems: Problem[]): ComponentPlan[] {
  const defaults = new Map<ComponentPlan, BlockName[]>();
  for (const { name: block, named = false, follows } of defaultedBlocks) {
    const serving = components.filter(({ blocks }) => blocks.includes(block));
    const claiming = serving.filter((plan) => plan.defaults.includes(block));
    const candidates = claiming.length > 0 ? claiming : serving;
    const [only, ...others] = candidates;
    if (only === undefined) continue;
    if (others.length === 0) {
      defaults.set(only, [...(defaults.get(only) ?? []), block]);
      continue;
    }
    if (named && claiming.length === 0) continue;
    const holder = follows === undefined ? undefined : candidates.find((plan) => defaults.get(plan)?.includes(follows));
    if (holder !== undefined && claiming.length === 0) {
      defaults.set(holder, [...(defaults.get(holder) ?? []), block]);
      continue;
    }
    const names = candidates.map(({ name }) => `"${name}"`).join(", ");
    const message =
      claiming.length > 0
        ? `${names} all say that they are the default of block "${block}"; one can be`
        : `${names} all serve block "${block}" and none is its default; write default: true (or a list of blocks) in one`;
    for (const plan of candidates) problems.push(problemOf(plan, message, ["spec", "default"]));
  }
  return components.map((plan) => ({ ...plan, defaults: defaults.get(plan) ?? [] }));
}
