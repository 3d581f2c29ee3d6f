import { bindCases, type ConformanceCase } from "../suite/cases.js";
import type { DiscoveryHarness } from "./conformance/harness.js";
import { DiscoveryKit } from "./conformance/kit.js";
import { leases } from "./conformance/leases.js";
import { lookups } from "./conformance/lookups.js";
import { watches } from "./conformance/watches.js";

export type { DiscoveryHarness } from "./conformance/harness.js";

/**
 * The suite that every discovery must pass: one case per promise of the interface.
 *
 * @example
 * for (const { name, run } of discoveryConformance(harness)) test(name, run);
 */
export function discoveryConformance(harness: DiscoveryHarness): ConformanceCase[] {
  return bindCases([...lookups, ...leases, ...watches], harness, (own) => new DiscoveryKit(own));
}
