import { isDeepStrictEqual } from "node:util";
import { PolicyCounts } from "./counts.js";
import { type PolicyPlan, sectionsOf } from "./plan.js";
import { isSimilar, mismatch, type PolicyCall, type Rule, rulesFor } from "./rules.js";
import type { PolicyTarget } from "./section.js";
import { type SectionName, type SectionValue, sectionNames, sections } from "./sections.js";

/**
 * A section of a policy that runs. It stays the same object while policy and value do, whatever else changes: what is kept for it (a breaker,
 * a bucket, in a `WeakMap`) lives as long.
 */
export interface Applied<Value = unknown> {
  readonly value: Value;
  /** The policy's name; "default" where no policy says anything. */
  readonly policy: string;
}

/** What holds for a call, section by section. */
export type Effective = { readonly [Name in SectionName]?: Applied<SectionValue<Name>> };

/** The policies that run. */
export interface Policies {
  /** What holds for a call to an app: what policies say, else what holds by default. */
  forCall(app: string, call: PolicyCall): Effective;
  /**
   * What policies say of calls that are almost this one: of paths that some framework may take for the same, since letter case, matrix parameters and
   * a slash at the end make no difference to it. What protects an app must hold for these, too.
   */
  similarTo(app: string, call: PolicyCall): readonly Effective[];
  /** What holds for calls of a component; undefined if no policy is for it. */
  forComponent(name: string): Effective | undefined;
  /** Makes these policies what runs. */
  replace(plans: readonly PolicyPlan[]): void;
  /** Calls back after each {@link replace}. */
  onChange(listener: () => void): void;
  readonly plans: readonly PolicyPlan[];
  /** What they did. */
  readonly counts: PolicyCounts;
}

/** What holds where no policy says anything. */
const defaults: Effective = Object.fromEntries(
  sectionNames.flatMap((name) => {
    const { schema, byDefault } = { byDefault: undefined, ...sections[name] };
    return byDefault === undefined ? [] : [[name, { value: schema.parse(byDefault), policy: "default" }]];
  }),
);

const none: readonly Effective[] = [];

/** The rules for one target. */
interface Table {
  readonly rules: readonly Rule[];
  /** What holds for all its calls, if they differ in nothing that a rule asks for. */
  readonly same: Effective | undefined;
  /** What holds, by the rules that fit: the same for calls that the same rules fit. */
  readonly byRules: Map<string, Effective>;
}

/** Creates an empty set; `replace` fills it. */
export function createPolicies(): Policies {
  let plans: readonly PolicyPlan[] = [];
  /** By policy and section. */
  let applied = new Map<string, Applied>();
  const tables = new Map<string, Table>();
  const listeners = new Set<() => void>();
  const keyOf = (policy: PolicyPlan, section: SectionName) => `${policy.name}/${section}`;

  const addTo = (effective: Record<string, Applied>, { policy }: Rule) => {
    for (const section of sectionsOf(policy)) {
      const found = applied.get(keyOf(policy, section));
      if (found !== undefined && effective[section] === undefined) effective[section] = found;
    }
  };
  const gather = (rules: readonly Rule[], base: Effective): Effective => {
    const effective: Record<string, Applied> = {};
    for (const rule of rules) addTo(effective, rule);
    return { ...base, ...effective };
  };
  const tableOf = (target: PolicyTarget): Table => {
    const rules = rulesFor(plans, target);
    const isForAll = rules.every(({ policy }) => Object.keys(policy.match).length === 0);
    return { rules, same: isForAll ? gather(rules, defaults) : undefined, byRules: new Map() };
  };

  const ofRules = ({ rules, byRules }: Table, call: PolicyCall): Effective => {
    let key = "";
    for (const rule of rules) key += mismatch(rule, call) === undefined ? "1" : "0";
    let effective = byRules.get(key);
    if (effective === undefined) {
      effective = gather(
        rules.filter((_, index) => key[index] === "1"),
        defaults,
      );
      // There are at most as many as calls of different kinds; who makes up headers to have more fills no memory.
      if (byRules.size >= 1_000) byRules.clear();
      byRules.set(key, effective);
    }
    return effective;
  };

  const tableFor = (app: string): Table => {
    let table = tables.get(app);
    if (table === undefined) {
      // Whoever makes up app ids fills no memory.
      if (tables.size >= 1_000) tables.clear();
      table = tableOf({ type: "app", name: app });
      tables.set(app, table);
    }
    return table;
  };

  return {
    forCall(app, call) {
      if (plans.length === 0) return defaults;
      const table = tableFor(app);
      return table.same ?? ofRules(table, call);
    },
    similarTo(app, call) {
      const table = plans.length === 0 ? undefined : tableFor(app);
      if (table === undefined || table.same !== undefined) return none;
      return table.rules.filter((rule) => isSimilar(rule, call)).map((rule) => gather([rule], {}));
    },
    forComponent(name) {
      const rules = rulesFor(plans, { type: "component", name });
      return rules.length === 0 ? undefined : gather(rules, {});
    },
    replace(next) {
      const before = applied;
      applied = new Map();
      for (const plan of next) {
        for (const section of sectionsOf(plan)) {
          const key = keyOf(plan, section);
          const value = plan.sections[section];
          const old = before.get(key);
          applied.set(key, isDeepStrictEqual(old?.value, value) && old ? old : { value, policy: plan.name });
        }
      }
      plans = next;
      tables.clear();
      for (const listener of listeners) listener();
    },
    onChange: (listener) => void listeners.add(listener),
    counts: new PolicyCounts(),
    get plans() {
      return plans;
    },
  };
}
