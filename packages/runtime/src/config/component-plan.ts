import type { ComponentDefinition, Durability } from "@mecha/component";
import type { BlockName } from "../blocks/registry.js";
import type { Reference } from "./references.js";
import type { ResourcePlan } from "./resource.js";

/** One component as the resources want it; its configuration still has references in it. */
export interface ComponentPlan extends ResourcePlan {
  readonly kind: "Component";
  readonly definition: ComponentDefinition;
  /** `spec.config`, references and all. */
  readonly rawConfig: unknown;
  readonly references: readonly Reference[];
  readonly blocks: readonly BlockName[];
  /** The blocks that it is the chosen default of. */
  readonly defaults: readonly BlockName[];
  readonly requires: readonly string[];
  /** The app ids that may use it; undefined: all. */
  readonly scopes: readonly string[] | undefined;
  readonly keyspace: "app" | "shared";
  readonly acceptDurability: Durability;
  /** The state store that it keeps things in (`assist`): as the resource says, and once planned the default one where it needs one. */
  readonly store: string | undefined;
  /** No resource names it. */
  readonly implicit: boolean;
}

/** Tells components from what else is planned. */
export function isComponent(plan: ResourcePlan): plan is ComponentPlan {
  return plan.kind === "Component";
}

/** The secret stores that a component's configuration refers to. */
export function secretStoresOf(plan: ComponentPlan): string[] {
  return [...new Set(plan.references.flatMap((reference) => (reference.kind === "secret" ? [reference.store] : [])))];
}

/** The components that must run before it does. */
export function dependenciesOf(plan: ComponentPlan): string[] {
  return [...secretStoresOf(plan), ...(plan.store === undefined ? [] : [plan.store])];
}
