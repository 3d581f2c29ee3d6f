import type { ConformanceCase } from "../state/conformance/harness.js";

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
  return [...declarations, ...delivery, ...groups, ...features]
    .filter(
      ({ feature, applies }) =>
        (feature === undefined || harness.features.includes(feature)) && (applies?.(harness) ?? true),
    )
    .map(({ name, feature, run }) => ({
      name,
      ...(feature !== undefined && { feature }),
      async run() {
        await using kit = new PubSubKit(harness);
        await run(kit);
      },
    }));
}
