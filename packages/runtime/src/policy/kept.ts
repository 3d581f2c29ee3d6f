import type { Applied } from "./policies.js";

/** For how many apps or components something is kept at the most, for each section. */
const maxTargets = 1_000;

/** What is kept for a section of a policy and an app or component that is called: a breaker, a budget. It lives as long as the section does. */
export class Kept<Value, Thing> {
  readonly #make: (value: Value, target: string, policy: string) => Thing;
  readonly #bySection = new WeakMap<Applied, Map<string, Thing>>();

  constructor(make: (value: Value, target: string, policy: string) => Thing) {
    this.#make = make;
  }

  of(section: Applied<Value>, target: string): Thing;
  of(section: Applied<Value> | undefined, target: string): Thing | undefined;
  of(section: Applied<Value> | undefined, target: string): Thing | undefined {
    if (section === undefined) return undefined;
    const byTarget = this.#bySection.get(section) ?? new Map<string, Thing>();
    const known = byTarget.get(target);
    if (known !== undefined) return known;
    // Whoever makes up app ids fills no memory: what was kept longest gives way.
    const [oldest] = byTarget.keys();
    if (byTarget.size >= maxTargets && oldest !== undefined) byTarget.delete(oldest);
    const made = this.#make(section.value, target, section.policy);
    this.#bySection.set(section, byTarget.set(target, made));
    return made;
  }
}
