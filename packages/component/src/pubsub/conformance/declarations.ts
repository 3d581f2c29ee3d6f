import assert from "node:assert/strict";
import type { CaseDefinition } from "./kit.js";

/** What a pubsub says of itself. */
export const declarations: CaseDefinition[] = [
  {
    name: "declares the features and the durability that its configuration backs",
    async run(kit) {
      const { pubsub } = await kit.open();
      assert.deepEqual(new Set(pubsub.features), new Set(kit.harness.features));
      assert.equal(pubsub.durability, kit.harness.durability);
      assert(pubsub.maxEventBytes >= 1024, "events of 1 KiB are the least that a pubsub takes");
    },
  },
];
