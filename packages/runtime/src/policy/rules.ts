import type { IncomingHttpHeaders } from "node:http";
import { includesMethod } from "../routes/methods.js";
import { compareSpecificity, overlap, type PathTemplate, parsePathTemplate } from "../routes/path-template.js";
import { canMeetBoth, unmetHeader } from "./header-match.js";
import type { PolicyPlan } from "./plan.js";
import type { PolicyTarget } from "./section.js";

/** A call, as far as policies are chosen by it. */
export interface PolicyCall {
  /** The app that calls. */
  readonly from: string;
  readonly method: string;
  /** As the other app gets it, without the query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
}

/** A policy for one of its paths, or for all calls of its target if it names none. */
export interface Rule {
  readonly policy: PolicyPlan;
  readonly path: PathTemplate | undefined;
}

/** The rules of policies for `target`, the most specific first. */
export function rulesFor(policies: readonly PolicyPlan[], target: PolicyTarget): Rule[] {
  return policies
    .filter((policy) => isFor(policy, target))
    .flatMap(rulesOf)
    .sort(compareRules);
}

/** Whether a policy is for a target, by its name or by "*". */
export function isFor({ target }: PolicyPlan, { type, name }: PolicyTarget): boolean {
  return target.type === type && (target.name === "*" || target.name === name);
}

export function rulesOf(policy: PolicyPlan): Rule[] {
  const { paths } = policy.match;
  if (paths === undefined) return [{ policy, path: undefined }];
  return paths.map((text) => ({ policy, path: parsePathTemplate(text) }));
}

/** The ways in which one rule is more specific than another, the weightiest first, each in words. */
const ranks: readonly { readonly by: string; compare(a: Rule, b: Rule): number }[] = [
  { by: "target", compare: (a, b) => Number(a.policy.target.name === "*") - Number(b.policy.target.name === "*") },
  {
    by: "path",
    compare: ({ path: a }, { path: b }) =>
      a === undefined || b === undefined ? Number(a === undefined) - Number(b === undefined) : compareSpecificity(a, b),
  },
  { by: "headers", compare: (a, b) => headersOf(b) - headersOf(a) },
  { by: "methods", compare: (a, b) => given(b, "methods") - given(a, "methods") },
  { by: "callers", compare: (a, b) => given(b, "from") - given(a, "from") },
];

const headersOf = ({ policy }: Rule) => Object.keys(policy.match.headers ?? {}).length;
const given = ({ policy }: Rule, field: "methods" | "from") => Number(policy.match[field] !== undefined);

/** Orders rules, the more specific first; 0 if neither is. */
export function compareRules(a: Rule, b: Rule): number {
  for (const { compare } of ranks) {
    const order = compare(a, b);
    if (order !== 0) return order;
  }
  return 0;
}

/** By what `winner` is more specific: "path". */
export function advantage(winner: Rule, loser: Rule): string {
  return ranks.find(({ compare }) => compare(winner, loser) !== 0)?.by ?? "order";
}

/** Why a rule is not for a call, in words; undefined if it is. */
export function mismatch({ policy: { match }, path }: Rule, call: PolicyCall): string | undefined {
  if (path !== undefined && !path.matches(call.path)) return `path ${call.path} is not ${path.text}`;
  if (match.methods !== undefined && !includesMethod(match.methods, call.method)) {
    return `method ${call.method} is not ${match.methods.join(" or ")}`;
  }
  if (match.from !== undefined && !match.from.includes(call.from)) {
    return `caller ${call.from} is not ${match.from.join(" or ")}`;
  }
  return match.headers === undefined ? undefined : unmetHeader(match.headers, call.headers);
}

/** Whether a rule is not for a call only because the path is written in another way than some framework reads it. */
export function isSimilar({ policy, path }: Rule, call: PolicyCall): boolean {
  if (path === undefined || path.matches(call.path) || !path.covers(call.path)) return false;
  return mismatch({ policy, path: undefined }, call) === undefined;
}

/** Whether there is a call that both are for. */
export function canMatchBoth(a: Rule, b: Rule): boolean {
  const [one, other] = [a.policy, b.policy];
  if (one.target.type !== other.target.type) return false;
  if (one.target.name !== other.target.name && one.target.name !== "*" && other.target.name !== "*") return false;
  return (
    (a.path === undefined || b.path === undefined || overlap(a.path, b.path)) &&
    canMeetBoth(one.match.headers ?? {}, other.match.headers ?? {}) &&
    (meet(one.match.methods, other.match.methods) || bothTakeHead(one.match.methods, other.match.methods)) &&
    meet(one.match.from, other.match.from)
  );
}

function bothTakeHead(a: readonly string[] = [], b: readonly string[] = []): boolean {
  return includesMethod(a, "HEAD") && includesMethod(b, "HEAD");
}

/** Whether two lists have something in common; one that is not given has everything. */
function meet(a: readonly string[] | undefined, b: readonly string[] | undefined): boolean {
  return a === undefined || b === undefined || a.some((each) => b.includes(each));
}
