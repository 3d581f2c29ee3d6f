import type { ResourceDocument } from "../config/documents.js";
import type { ResourcePlan } from "../config/resource.js";
import type { AccessPolicyResource, AccessRuleSpec } from "./resource.js";

/** An access policy as its resource wants it. */
export interface AccessPlan extends ResourcePlan {
  readonly kind: "AccessPolicy";
  /** The app that is called; undefined: every app. */
  readonly app: string | undefined;
  readonly default: "allow" | "deny";
  readonly dryRun: boolean;
  readonly rules: readonly AccessRule[];
}

export interface AccessRule extends AccessRuleSpec {
  /** File and line. */
  readonly source: string;
}

/** Tells access policies from what else is planned. */
export function isAccessPolicy(plan: ResourcePlan): plan is AccessPlan {
  return plan.kind === "AccessPolicy";
}

/** Plans one document. */
export async function planAccessPolicy(
  { metadata, spec }: AccessPolicyResource,
  document: ResourceDocument,
): Promise<AccessPlan> {
  return {
    kind: "AccessPolicy",
    name: metadata.name,
    document,
    app: spec.app,
    default: spec.default,
    dryRun: spec.dryRun,
    rules: spec.rules.map((rule, index) => ({ ...rule, source: document.sourceOf(["spec", "rules", index]) })),
  };
}
