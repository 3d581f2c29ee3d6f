import type { ResourceService } from "../config/kind.js";
import type { PolicyPlan } from "./plan.js";
import type { Policies } from "./policies.js";

/** What makes policies hold, from the next call on. */
export function createPolicyService({ policies }: { readonly policies: Policies }): ResourceService<PolicyPlan> {
  return {
    async apply(plans) {
      policies.replace(plans);
      return [];
    },
    drain() {},
    info: () => ({}),
    metrics: () => policies.counts.samples(),
    async close() {},
  };
}
