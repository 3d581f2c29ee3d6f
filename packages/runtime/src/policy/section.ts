import type { ZodType, z } from "zod";
import type { ComponentPlan } from "../config/component-plan.js";

/** What a policy is for: an app that is called, or a component; "*" is all of them. */
export interface PolicyTarget {
  readonly type: "app" | "component";
  readonly name: string;
}

/** One thing that a policy can say. Adding one adds a file of these and a line in `sections`. */
export interface Section<Schema extends ZodType = ZodType> {
  /** What may be written; its description, defaults and limits are what editors and docs show. */
  readonly schema: Schema;
  /** What it can be said of. */
  readonly targets: readonly PolicyTarget["type"][];
  /** Who does it for calls to apps: the runtime of the app that calls, or the one of the app that is called. Components have one runtime. */
  readonly by: "caller" | "callee";
  /** What holds where no policy says anything, as it would be written; undefined: nothing. */
  readonly byDefault?: z.input<Schema>;
  /** Says what is wrong with a value although each of its fields is right. */
  check?(value: z.output<Schema>, context: SectionCheck): void;
  /** Says what is wrong with it beside the components that there are. */
  relate?(value: z.output<Schema>, context: SectionCheck & { readonly components: readonly ComponentPlan[] }): void;
}

/** What a value is judged by. */
export interface SectionCheck {
  readonly target: PolicyTarget;
  /** Adds a problem, at a path below the section. */
  add(message: string, ...path: PropertyKey[]): void;
}

/** Defines a section. Identity, for its types. */
export function defineSection<Schema extends ZodType>(section: Section<Schema>): Section<Schema> {
  return section;
}
