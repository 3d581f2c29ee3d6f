import { createDefinitionLookup } from "../components/definitions.js";
import { planResources } from "../config/plan.js";
import type { Problem } from "../config/problem.js";
import { normalizeTarget } from "../mesh/path.js";
import { type RuntimeOptions, resolveRuntimeOptions } from "../options.js";
import { decide } from "./decide.js";
import { isAccessPolicy } from "./plan.js";

/** A call that is asked about. */
export interface AccessQuestion {
  readonly from: string;
  readonly to: string;
  readonly method: string;
  /** As a caller would write it, without a query. */
  readonly path: string;
  /** What the caller's verified token says. Default: there is none. */
  readonly claims?: Readonly<Record<string, unknown>>;
}

/** What the access policies say of it. */
export interface AccessExplanation {
  readonly allowed: boolean;
  /** The policy that decides; undefined if there is none for the app. */
  readonly policy?: string;
  /** File and line of the rule, or of the policy whose default it is. */
  readonly source?: string;
  /** Whether a rule decides, or a default. */
  readonly by: "rule" | "default" | "no policy";
  /** What policies that only log would refuse: their names. */
  readonly dryRun: readonly string[];
}

/** Tells what the access policies of resources say of a call, and everything that is wrong with the resources. */
export async function explainAccess(
  question: AccessQuestion,
  options: Pick<
    RuntimeOptions,
    "resources" | "components" | "resolveComponent" | "knownComponentTypes" | "environment"
  >,
): Promise<{ readonly explanation: AccessExplanation; readonly problems: readonly Problem[] }> {
  const settings = await resolveRuntimeOptions(options);
  const plan = await planResources({ ...settings, definitions: createDefinitionLookup(settings) });
  const { from, to, method, claims } = question;
  const own = plan.others.filter(isAccessPolicy).filter(({ app }) => app === undefined || app === to);
  const call = { from, method, path: normalizeTarget(question.path), claims };
  const { allowed, policy, rule } = decide(
    own.filter(({ dryRun }) => !dryRun),
    call,
  );
  const tried = decide(own, call);
  return {
    explanation: {
      allowed,
      by: policy === undefined ? "no policy" : rule === undefined ? "default" : "rule",
      ...(policy !== undefined && { policy: policy.name, source: rule?.source ?? policy.document.sourceOf([]) }),
      dryRun: allowed && !tried.allowed && tried.policy !== undefined ? [tried.policy.name] : [],
    },
    problems: plan.problems,
  };
}
