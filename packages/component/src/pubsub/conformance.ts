import { bindCases, type ConformanceCase } from "../suite/cases.js";

export type { PubSubHarness } from "./conformance/harness.js";

import { declarations } from "./conformance/declarations.js";
import { delivery } from "./conformance/delivery.js";
import { features } from "./conformance/features.js";
import { groups } from "./conformance/groups.js";
import type { PubSubHarness } from "./conformance/harness.js";
import { PubSubKit } from "./conformance/kit.js";

/**
 * The suite that every pubsub must pass: one case per promise of `mecha.pubsub.v1` that is the component's to keep.
 *
 * @example
 * for (const { name, run } of pubsubConformance(harness)) test(name, run);
 */
export function pubsubConformance(harness: PubSubHarness): ConformanceCase[] {
  const all = [...declarations, ...delivery, ...groups, ...features];
  return bindCases(all, harness, (own) => new PubSubKit(own));
}
