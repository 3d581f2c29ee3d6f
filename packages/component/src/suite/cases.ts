import { within } from "./deadline.js";

/** One case of a suite. It needs no test runner: it resolves, or rejects with what is wrong. */
export interface ConformanceCase {
  readonly name: string;
  /** The feature that it proves; none: the core. */
  readonly feature?: string;
  run(): Promise<void>;
}

/** What the harness of every block's suite says. */
export interface BlockHarness<Feature extends string> {
  /** Every feature that the component must have: the suite fails if it declares another set, and leaves out the cases of the rest. */
  readonly features: readonly Feature[];
  /** How long a case may take, in ms: a component that never answers fails it instead of stopping the suite. Default 45 000. */
  readonly deadlineMs?: number;
}

/** A case before it is bound to a harness. */
export interface CaseOf<Feature extends string, Harness, Kit> {
  readonly name: string;
  readonly feature?: Feature;
  /** Whether the case means something for this harness. Default: for every one. */
  readonly applies?: (harness: Harness) => boolean;
  readonly run: (kit: Kit) => Promise<void>;
}

/**
 * Longer than the 30 s that a case itself gives to what must come, so that what is read is the case's own words; only a call that is never
 * answered lasts until here. No case that passes comes near it: the slowest takes 3.5 s on two cores at a load of 12.
 */
const defaultDeadlineMs = 45_000;

/** Binds the cases that apply to a harness; each gets a kit of its own, which is disposed when it ends. */
export function bindCases<Feature extends string, Harness extends BlockHarness<Feature>, Kit extends AsyncDisposable>(
  definitions: readonly CaseOf<Feature, Harness, Kit>[],
  harness: Harness,
  createKit: (harness: Harness) => Kit,
): ConformanceCase[] {
  const applicable = definitions.filter(({ feature, applies }) => {
    return (feature === undefined || harness.features.includes(feature)) && (applies?.(harness) ?? true);
  });
  return applicable.map(({ name, feature, run }) => ({
    name,
    ...(feature !== undefined && { feature }),
    async run() {
      const kit = createKit(harness);
      try {
        await within(harness.deadlineMs ?? defaultDeadlineMs, run(kit));
      } catch (error) {
        // What failed first is what the reader must see.
        await Promise.resolve(kit[Symbol.asyncDispose]()).catch(() => {});
        throw error;
      }
      await kit[Symbol.asyncDispose]();
    },
  }));
}
