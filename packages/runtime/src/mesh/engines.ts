import type { Clock } from "@mecha/component";
import { meets, type Outcome } from "../policy/conditions.js";
import type { TargetCounts } from "../policy/counts.js";
import { Kept } from "../policy/kept.js";
import type { Applied, Effective, Policies } from "../policy/policies.js";
import { Bulkhead } from "../policy/sections/bulkhead.js";
import { CircuitBreaker } from "../policy/sections/circuit-breaker.js";
import { Ejections } from "../policy/sections/outlier-ejection.js";
import { RetryBudget } from "../policy/sections/retry.js";
import type { SectionValue } from "../policy/sections.js";
import { type Balancer, balancers } from "./balancer.js";

/** What carries out the policies of a call: what one call shares with the others to the same app. */
export interface Engines {
  readonly counts: TargetCounts;
  readonly timeout: SectionValue<"timeout"> | undefined;
  readonly retry: SectionValue<"retry">;
  readonly retryOn: (outcome: Outcome) => boolean;
  readonly budget: RetryBudget;
  readonly bulkhead: Bulkhead | undefined;
  readonly breaker: CircuitBreaker | undefined;
  readonly split: SectionValue<"split"> | undefined;
  readonly balancer: Balancer;
  /** What the key of a call is made of. */
  readonly hashOn: SectionValue<"balancing">["hashOn"];
  readonly ejections: Ejections;
  readonly fault: Applied<SectionValue<"fault">> | undefined;
  /** The names of the policies that may refuse a call. */
  readonly names: { readonly bulkhead: string | undefined; readonly breaker: string | undefined };
}

export interface EnginesOptions {
  readonly policies: Policies;
  /** How calls are spread where no policy says it. */
  readonly balancing: keyof typeof balancers;
  readonly clock: Clock;
  readonly random: () => number;
}

/** Makes what carries out policies, once for each section and app. */
export function createEngines({ policies, balancing, clock, random }: EnginesOptions) {
  const { counts } = policies;
  const of = (app: string) => counts.of(`app/${app}`);
  const budgets = new Kept((value: SectionValue<"retry">) => new RetryBudget(value, clock));
  const retryOn = new Kept(({ on }: SectionValue<"retry">) => meets(on));
  const bulkheads = new Kept((value: SectionValue<"bulkhead">) => new Bulkhead(value, clock));
  const breakers = new Kept((value: SectionValue<"circuitBreaker">, app, policy) => {
    const breaker = new CircuitBreaker(value, clock);
    of(app).breakers.set(policy, breaker);
    return breaker;
  });
  const ejections = new Kept((value: SectionValue<"outlierEjection">, app) => {
    const own = of(app);
    const made = new Ejections(value, clock, () => own.ejections++);
    own.ejected = () => made.out;
    return made;
  });
  const pickers = new Kept(({ algorithm }: SectionValue<"balancing">, _app, policy) =>
    balancers[policy === "default" ? balancing : algorithm](random),
  );
  /** By what holds for a call: as a rule the same for most calls to an app. */
  const made = new Map<string, WeakMap<Effective, Engines>>();

  const make = (app: string, effective: Effective): Engines => {
    const { retry, outlierEjection, balancing: spread } = effective;
    if (retry === undefined || outlierEjection === undefined || spread === undefined) {
      throw new Error("a section that has a default has none");
    }
    return {
      counts: of(app),
      timeout: effective.timeout?.value,
      retry: retry.value,
      retryOn: retryOn.of(retry, ""),
      budget: budgets.of(retry, app),
      bulkhead: bulkheads.of(effective.bulkhead, app),
      breaker: breakers.of(effective.circuitBreaker, app),
      split: effective.split?.value,
      balancer: pickers.of(spread, app),
      hashOn: spread.value.hashOn,
      ejections: ejections.of(outlierEjection, app),
      fault: effective.fault,
      names: { bulkhead: effective.bulkhead?.policy, breaker: effective.circuitBreaker?.policy },
    };
  };

  return {
    /** What carries out `effective` for calls to an app. */
    of(app: string, effective: Effective): Engines {
      // Whoever makes up app ids fills no memory.
      if (made.size >= 1_000) made.clear();
      const byEffective = made.get(app) ?? new WeakMap<Effective, Engines>();
      const known = byEffective.get(effective);
      if (known !== undefined) return known;
      const engines = make(app, effective);
      made.set(app, byEffective.set(effective, engines));
      return engines;
    },
  };
}
