import type { ResourceDocument } from "../config/documents.js";
import type { PlanContext } from "../config/kind.js";
import { problemOf, type ResourcePlan } from "../config/resource.js";
import type { PolicyMatch, PolicyResource } from "./resource.js";
import type { PolicyTarget } from "./section.js";
import { type SectionName, type SectionValues, sectionNames, sectionOf } from "./sections.js";

/** A policy as its resource wants it. */
export interface PolicyPlan extends ResourcePlan {
  readonly kind: "Policy";
  readonly target: PolicyTarget;
  readonly match: PolicyMatch;
  readonly sections: SectionValues;
}

/** Tells policies from what else is planned. */
export function isPolicy(plan: ResourcePlan): plan is PolicyPlan {
  return plan.kind === "Policy";
}

/** The sections that a policy has. */
export function sectionsOf({ sections }: PolicyPlan): SectionName[] {
  return sectionNames.filter((name) => sections[name] !== undefined);
}

/** Plans one document. */
export async function planPolicy(
  { metadata, spec }: PolicyResource,
  document: ResourceDocument,
  { problems }: PlanContext,
): Promise<PolicyPlan> {
  const { target, match = {}, ...sections } = spec;
  const [type, name] = target.component === undefined ? ["app", target.app] : ["component", target.component];
  const plan: PolicyPlan = {
    kind: "Policy",
    name: metadata.name,
    document,
    target: { type: type as PolicyTarget["type"], name: name ?? "" },
    match,
    sections,
  };
  const add = (message: string, ...path: PropertyKey[]) => problems.push(problemOf(plan, message, ["spec", ...path]));

  if ((target.app === undefined) === (target.component === undefined)) {
    add('"target" needs one of "app" and "component": say what the policy is for', "target");
  }
  if (plan.target.type === "component" && Object.keys(match).length > 0) {
    add('"match" is for apps: calls of a component have no path, method or header', "match");
  }
  const own = sectionsOf(plan);
  if (own.length === 0) add(`it says nothing; it may have: ${sectionNames.join(", ")}`);
  for (const section of own) {
    const { targets, check } = sectionOf(section);
    if (!targets.includes(plan.target.type)) {
      add(`"${section}" is for ${targets.join("s and ")}s, not for ${plan.target.type}s`, section);
      continue;
    }
    const report = (message: string, ...path: PropertyKey[]) => add(message, section, ...path);
    check?.(sections[section], { target: plan.target, add: report });
  }
  return plan;
}
