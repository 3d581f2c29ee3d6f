import type { RelationContext } from "../config/kind.js";
import { problemOf } from "../config/resource.js";
import { didYouMean } from "../config/suggest.js";
import { type PolicyPlan, sectionsOf } from "./plan.js";
import { canMatchBoth, compareRules, rulesOf } from "./rules.js";
import { sectionOf } from "./sections.js";

/** Judges policies together with the components and with each other. */
export function relatePolicies(plans: readonly PolicyPlan[], { components, problems }: RelationContext): void {
  for (const plan of plans) {
    const { target, sections } = plan;
    const names = components.map(({ name }) => name);
    if (target.type === "component" && target.name !== "*" && !names.includes(target.name)) {
      const hint = didYouMean(target.name, names) || `; there are: ${names.join(", ")}`;
      problems.push(problemOf(plan, `there is no component "${target.name}"${hint}`, ["spec", "target", "component"]));
    }
    for (const section of sectionsOf(plan)) {
      const { relate } = sectionOf(section);
      const add = (message: string, ...path: PropertyKey[]) =>
        problems.push(problemOf(plan, message, ["spec", section, ...path]));
      relate?.(sections[section], { target, components, add });
    }
  }
  for (const [index, plan] of plans.entries()) {
    for (const other of plans.slice(0, index)) {
      if (!conflict(plan, other)) continue;
      const shared = sectionsOf(plan).filter((section) => other.sections[section] !== undefined);
      for (const section of shared) {
        const where = other.document.sourceOf(["spec", section]);
        const message = `conflicting policies: "${other.name}" at ${where} says "${section}" too, is for the same calls and no less specific; remove one, or narrow it`;
        problems.push(problemOf(plan, message, ["spec", section]));
      }
    }
  }
}

/** Whether there is a call for which neither of two policies goes before the other. */
function conflict(a: PolicyPlan, b: PolicyPlan): boolean {
  return rulesOf(a).some((one) =>
    rulesOf(b).some((other) => compareRules(one, other) === 0 && canMatchBoth(one, other)),
  );
}
