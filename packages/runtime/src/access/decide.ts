import { includesMethod } from "../routes/methods.js";
import type { AccessPlan, AccessRule } from "./plan.js";

/** A call, as access policies see it. */
export interface AccessCall {
  /** The calling app, as its certificate says. */
  readonly from: string;
  readonly method: string;
  /** In its normal form, without the query. */
  readonly path: string;
  /** What a verified token says; undefined without one. */
  readonly claims: Readonly<Record<string, unknown>> | undefined;
}

/** What was decided, and by what. */
export interface AccessDecision {
  readonly allowed: boolean;
  /** The policy that decides: the one with the rule, or else the one whose default it is. */
  readonly policy: AccessPlan | undefined;
  /** Undefined where no rule matched. */
  readonly rule: AccessRule | undefined;
}

const free: AccessDecision = { allowed: true, policy: undefined, rule: undefined };

/**
 * Decides about a call by the policies of its app. The order of rules and policies makes no difference: a deny rule that matches refuses the call; else an
 * allow rule that matches allows it; else it is allowed if every policy's default is to allow. Without a policy everything is allowed.
 */
export function decide(policies: readonly AccessPlan[], call: AccessCall): AccessDecision {
  let allowing: AccessDecision | undefined;
  let refusing: AccessPlan | undefined;
  let last: AccessPlan | undefined;
  for (const policy of policies) {
    last = policy;
    if (policy.default === "deny") refusing ??= policy;
    for (const rule of policy.rules) {
      if (!isMatch(rule, call)) continue;
      if (rule.action === "deny") return { allowed: false, policy, rule };
      allowing ??= { allowed: true, policy, rule };
    }
  }
  if (allowing !== undefined) return allowing;
  if (refusing !== undefined) return { allowed: false, policy: refusing, rule: undefined };
  return last === undefined ? free : { allowed: true, policy: last, rule: undefined };
}

/** What is refused is matched generously, and what is allowed to the letter, so that whoever is in doubt is on the safe side. */
function isMatch({ action, from, methods, paths, claims }: AccessRule, call: AccessCall): boolean {
  if (from !== undefined && !from.includes(call.from)) return false;
  if (methods !== undefined && !includesMethod(methods, call.method)) return false;
  if (paths !== undefined) {
    const fits = paths.some((path) => (action === "deny" ? path.covers(call.path) : path.matches(call.path)));
    if (!fits) return false;
  }
  return claims === undefined || hasClaims(claims, call.claims);
}

function hasClaims(wanted: NonNullable<AccessRule["claims"]>, claims: AccessCall["claims"]): boolean {
  if (claims === undefined) return false;
  return Object.entries(wanted).every(([name, want]) => {
    const has = valuesOf(claimAt(claims, name));
    return [want].flat().some((one) => has.includes(one));
  });
}

/** The claim of this very name, or else what is at the path `a.b`. */
function claimAt(claims: Readonly<Record<string, unknown>>, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name];
  return name.split(".").reduce<unknown>((at, key) => {
    return typeof at === "object" && at !== null && Object.hasOwn(at, key) ? Reflect.get(at, key) : undefined;
  }, claims);
}

/** A list's values; the words of a text, and the text. */
function valuesOf(claim: unknown): unknown[] {
  if (Array.isArray(claim)) return claim;
  return typeof claim === "string" && claim.includes(" ") ? [claim, ...claim.split(" ")] : [claim];
}
