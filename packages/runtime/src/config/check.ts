import { createDefinitionLookup } from "../components/definitions.js";
import type { LiveComponent } from "../components/live.js";
import { startComponent } from "../components/start.js";
import { type RuntimeOptions, resolveRuntimeOptions } from "../options.js";
import { isSubscription } from "../subscriptions/plan.js";
import { sources } from "../subscriptions/sources.js";
import { planResources } from "./plan.js";
import type { Problem } from "./problem.js";
import { resolveConfig } from "./resolve.js";

/** What `mecha check` tells. */
export interface CheckResult {
  /** Everything that is wrong, in the order of the files; empty if a runtime could try to start. */
  readonly problems: readonly Problem[];
  /** The components that a runtime would start. */
  readonly components: readonly {
    readonly name: string;
    readonly type: string;
    readonly blocks: readonly string[];
    /** The blocks whose default it is. */
    readonly defaults: readonly string[];
    /** No resource names it. */
    readonly implicit: boolean;
    readonly source: string;
  }[];
  /** What a runtime would post to the app, whichever app it is for. */
  readonly subscriptions: readonly {
    readonly name: string;
    /** In words: `group "shop" of topic "orders" (component "events")`. */
    readonly events: string;
    readonly paths: readonly string[];
    readonly source: string;
  }[];
  /** The other resources, in the order of the files: apps and policies. */
  readonly others: readonly { readonly kind: string; readonly name: string; readonly source: string }[];
}

/** The options that resources are judged by. */
export type CheckOptions = Pick<
  RuntimeOptions,
  "resources" | "components" | "resolveComponent" | "knownComponentTypes" | "environment" | "dataDir"
>;

/**
 * Checks resources as a start would, without the infrastructure: the implicit secret stores (`env`, `file`) are asked, secrets of others are
 * taken to be there.
 */
export async function checkResources(options: CheckOptions = {}): Promise<CheckResult> {
  const settings = await resolveRuntimeOptions(options);
  const plan = await planResources({ ...settings, definitions: createDefinitionLookup(settings) });
  const problems: Problem[] = [...plan.problems];
  const stores = new Map<string, LiveComponent>();
  try {
    for (const store of plan.components.filter(({ implicit, blocks }) => implicit && blocks.includes("secret"))) {
      stores.set(store.name, await startComponent(store, {}, settings));
    }
    const sources = {
      environment: settings.environment,
      secretStore: (name: string) => stores.get(name)?.component.blocks.secret,
      signal: AbortSignal.timeout(settings.startTimeoutMs),
    };
    for (const component of plan.components.filter(({ references }) =>
      references.some(({ kind }) => kind === "secret"),
    )) {
      const found = await resolveConfig(component, sources);
      // What the plan found already is not told twice.
      problems.push(...found.problems.filter((problem) => !problems.some((known) => isSame(known, problem))));
    }
  } finally {
    for (const store of stores.values()) await store.component.close();
  }
  const components = plan.components.map(({ name, definition, blocks, defaults, implicit, document }) => {
    return { name, type: definition.type, blocks, defaults, implicit, source: document.sourceOf([]) };
  });
  const context = { components: plan.components, appId: settings.appId };
  const subscriptions = plan.others.filter(isSubscription).map(({ name, document, source, rules, path }) => {
    return {
      name,
      events: sources[source.type].describe(source, context),
      paths: [...rules.map((rule) => rule.path), ...(path === undefined ? [] : [path])],
      source: document.sourceOf([]),
    };
  });
  const others = plan.others
    .filter((other) => !isSubscription(other))
    .map(({ kind, name, document }) => ({ kind, name, source: document.sourceOf([]) }));
  return { problems, components, subscriptions, others };
}

function isSame(a: Problem, b: Problem): boolean {
  return a.source === b.source && a.message === b.message;
}
