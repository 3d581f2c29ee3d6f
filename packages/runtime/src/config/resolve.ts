import type { SecretStore } from "@mecha/component";
import type { ComponentPlan } from "./component-plan.js";
import type { Problem } from "./problem.js";
import { type Reference, substitute } from "./references.js";
import { problemOf } from "./resource.js";
import { validate } from "./validate.js";

/** Where references point to. */
export interface ReferenceSources {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The secret store of this name; undefined if it does not run (yet), which leaves its secrets unresolved. */
  secretStore(name: string): SecretStore | undefined;
  readonly signal: AbortSignal;
}

/** A component's configuration, as far as it is known. */
export type ResolvedConfig =
  | { readonly config: unknown; readonly problems: readonly [] }
  /** Something is wrong, or (with no problems) a secret store does not run yet. */
  | { readonly config?: undefined; readonly problems: readonly Problem[] };

const configPath = ["spec", "config"] as const;

/** Resolves the references of a component's configuration, then parses it by its type's schema. */
export async function resolveConfig(plan: ComponentPlan, sources: ReferenceSources): Promise<ResolvedConfig> {
  const problems: Problem[] = [];
  const values = new Map<Reference, string>();
  const unresolved: Reference[] = [];
  await Promise.all(
    plan.references.map(async (reference) => {
      const found = await lookUp(reference, sources);
      if (typeof found === "string") values.set(reference, found);
      else {
        unresolved.push(reference);
        if (found !== undefined) problems.push(problemOf(plan, found.problem, [...configPath, ...reference.path]));
      }
    }),
  );
  const checked = validate(plan.definition.config, substitute(plan.rawConfig, values), {
    at: configPath,
    coerced: [...values.keys()].map(({ path }) => path),
    unknown: unresolved.map(({ path }) => path),
  });
  for (const { path, message } of checked.findings) problems.push(problemOf(plan, message, path));
  if (problems.length === 0 && "value" in checked) return { config: checked.value, problems: [] };
  return { problems };
}

async function lookUp(
  reference: Reference,
  { environment, secretStore, signal }: ReferenceSources,
): Promise<string | { problem: string } | undefined> {
  if (reference.kind === "env") {
    const value = environment[reference.name];
    return value ?? { problem: `environment variable ${reference.name} is not set; set it, or write the value here` };
  }
  const store = secretStore(reference.store);
  if (store === undefined) return undefined;
  try {
    const value = await store.get(reference.key, { signal });
    return value ?? { problem: `secret store "${reference.store}" has no secret "${reference.key}"` };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { problem: `secret "${reference.store}/${reference.key}" could not be read: ${reason}` };
  }
}
