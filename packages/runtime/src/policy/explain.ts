import type { ResourcePlan } from "../config/resource.js";
import { isPolicy, type PolicyPlan } from "./plan.js";
import { advantage, mismatch, type PolicyCall, type Rule, rulesFor } from "./rules.js";
import type { PolicyTarget } from "./section.js";
import { type SectionName, sectionNames, sectionOf } from "./sections.js";

/** A call to explain: of an app (`to`), or of a component. */
export type ExplainedCall =
  | (Partial<PolicyCall> & { readonly to: string; readonly component?: undefined })
  | { readonly component: string };

/** What holds of one section for a call, and why. */
export interface SectionExplanation {
  readonly section: SectionName;
  /** As the policy or the default says it. */
  readonly value: unknown;
  /** The policy that holds; undefined where none says anything, and `value` is the default. */
  readonly policy: string | undefined;
  /** Where it stands: "mecha.yaml:12". */
  readonly source: string | undefined;
  /** Which runtime does it: that of the app that calls, or of the one that is called. */
  readonly by: "caller" | "callee";
  /** The policies for the same target that have the section too, and why they do not hold: `less specific by path`. */
  readonly lost: readonly { readonly policy: string; readonly source: string; readonly why: string }[];
}

/** Tells what holds for a call, for every section that any policy says something about or that has a default. */
export function explainPolicies(plans: readonly ResourcePlan[], call: ExplainedCall): SectionExplanation[] {
  const target: PolicyTarget =
    call.component === undefined ? { type: "app", name: call.to } : { type: "component", name: call.component };
  const rules = rulesFor(plans.filter(isPolicy), target);
  return sectionNames.flatMap((section) => {
    const { targets, by, byDefault } = sectionOf(section);
    if (!targets.includes(target.type)) return [];
    const having = rules.filter(({ policy }) => policy.sections[section] !== undefined);
    const winner = having.find((rule) => whyNot(rule, call) === undefined);
    const value = winner === undefined ? (target.type === "app" ? byDefault : undefined) : written(winner, section);
    const lost = losers(having, winner, section, call);
    if (value === undefined && lost.length === 0) return [];
    const where = winner && sourceOf(winner.policy, section);
    return [{ section, value, policy: winner?.policy.name, source: where, by, lost }];
  });
}

/** One entry a policy, whichever of its paths came closest. */
function losers(having: readonly Rule[], winner: Rule | undefined, section: SectionName, call: ExplainedCall) {
  const lost = new Map<string, { policy: string; source: string; why: string }>();
  for (const rule of having) {
    const { policy } = rule;
    if (policy === winner?.policy) continue;
    const unfit = whyNot(rule, call);
    if (unfit !== undefined && lost.has(policy.name)) continue;
    const why = unfit ?? (winner === undefined ? "" : `less specific by ${advantage(winner, rule)}`);
    lost.set(policy.name, { policy: policy.name, source: sourceOf(policy, section), why });
  }
  return [...lost.values()];
}

function whyNot(rule: Rule, call: ExplainedCall): string | undefined {
  if (!("to" in call)) return undefined;
  const { from = "", method = "GET", path = "/", headers = {} } = call;
  return mismatch(rule, { from, method, path, headers });
}

const sourceOf = (policy: PolicyPlan, section: SectionName) => policy.document.sourceOf(["spec", section]);

function written({ policy }: Rule, section: SectionName): unknown {
  const { value } = policy.document as { value: { spec?: Record<string, unknown> } };
  return value.spec?.[section];
}
