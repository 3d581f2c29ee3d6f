import { bindCases, type ConformanceCase } from "../suite/cases.js";
import { declarations } from "./conformance/declarations.js";
import { events } from "./conformance/events.js";
import type { BindingHarness } from "./conformance/harness.js";
import { BindingKit } from "./conformance/kit.js";
import { operations } from "./conformance/operations.js";

export type { BindingHarness, Sample } from "./conformance/harness.js";

/**
 * The suite that every binding must pass: one case per promise of `mecha.binding.v1` that is the component's to keep.
 *
 * @example
 * for (const { name, run } of bindingConformance(harness)) test(name, run);
 */
export function bindingConformance(harness: BindingHarness): ConformanceCase[] {
  return bindCases([...declarations, ...operations, ...events], harness, (own) => new BindingKit(own));
}
