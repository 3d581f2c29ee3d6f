import type { Kind } from "../config/kind.js";
import { createAccessService } from "./control.js";
import { type AccessPlan, planAccessPolicy } from "./plan.js";
import { type AccessPolicyResource, accessPolicyResource } from "./resource.js";

/** `kind: AccessPolicy`: who may call an app. */
export const accessPolicyKind: Kind<AccessPolicyResource, AccessPlan> = {
  kind: "AccessPolicy",
  schema: accessPolicyResource,
  plan: planAccessPolicy,
  // They refer to nothing else.
  relate() {},
  start: createAccessService,
};
