import { accessPolicyKind } from "../access/kind.js";
import { appKind } from "../app/kind.js";
import { policyKind } from "../policy/kind.js";
import { subscriptionKind } from "../subscriptions/kind.js";
import { componentKind } from "./component-kind.js";
import type { Kind } from "./kind.js";

/** Every kind of resource, each after those that it refers to: adding one adds a line. */
export const kinds: readonly Kind[] = [componentKind, subscriptionKind, appKind, policyKind, accessPolicyKind];
