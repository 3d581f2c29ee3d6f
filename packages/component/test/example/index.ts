import { randomUUID } from "node:crypto";
import { ComponentError, defineComponent, type StateStore, z } from "@mecha/component";
import { createStore } from "./state.js";

/** State in a Map: the core of the block, and none of its features. */
export const toy = defineComponent({
  type: "mecha-component-toy",
  description: "State in a Map.",
  config: z.strictObject({
    maxItems: z.int().min(1).default(100_000).describe("How many items are kept; a write beyond it is STORAGE_FULL."),
  }),
  serves: { state: { features: [], durability: { PROCESS: "always: a Map ends with its process" } } },
  async create({ maxItems }, { clock, logger }) {
    let closed = false;
    const requireOpen = () => {
      if (closed) throw new ComponentError("COMPONENT_UNAVAILABLE", "the component is closed");
    };
    const state: StateStore = createStore({ maxItems, now: clock.now, newEtag: randomUUID, requireOpen });
    logger.info("ready", { maxItems });
    return {
      blocks: { state },
      // A component with a server asks it here, with a query that costs nothing.
      async health() {
        requireOpen();
      },
      // One with connections lets calls in flight finish, and closes them.
      async close() {
        closed = true;
      },
    };
  },
});
