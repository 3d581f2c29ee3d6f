import { createDefinitionLookup } from "../components/definitions.js";
import type { CheckOptions } from "../config/check.js";
import { planResources } from "../config/plan.js";
import type { Problem } from "../config/problem.js";
import { resolveRuntimeOptions } from "../options.js";
import { isPolicy, type PolicyPlan } from "./plan.js";

/** Reads the policies of resources, for {@link explainPolicies}; nothing is started. */
export async function readPolicies(
  options: CheckOptions = {},
): Promise<{ readonly policies: readonly PolicyPlan[]; readonly problems: readonly Problem[] }> {
  const settings = await resolveRuntimeOptions(options);
  const plan = await planResources({ ...settings, definitions: createDefinitionLookup(settings) });
  return { policies: plan.others.filter(isPolicy), problems: plan.problems };
}
