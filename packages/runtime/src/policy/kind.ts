import type { Kind } from "../config/kind.js";
import { type PolicyPlan, planPolicy } from "./plan.js";
import { relatePolicies } from "./relations.js";
import { type PolicyResource, policyResource } from "./resource.js";
import { createPolicyService } from "./service.js";

/** `kind: Policy`: how calls to apps and components are made. */
export const policyKind: Kind<PolicyResource, PolicyPlan> = {
  kind: "Policy",
  schema: policyResource,
  plan: planPolicy,
  relate: relatePolicies,
  start: createPolicyService,
};
