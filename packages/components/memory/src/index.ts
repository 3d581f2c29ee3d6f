import { defineComponent } from "@mecha/component";
import { config } from "./config.js";
import { createMemoryPubSub, features as pubsubFeatures } from "./pubsub.js";
import { createMemoryStore, durability, features } from "./state.js";

const always = { [durability]: "always: what is stored ends with the process" };

/** State and events in the memory of the runtime's process: gone when it ends, and as fast as it gets. */
export const memory = defineComponent({
  type: "memory",
  description: "State and events that live as long as the process, for tests and caches.",
  config,
  serves: { state: { features, durability: always }, pubsub: { features: pubsubFeatures, durability: always } },
  async create(config, context) {
    const { pubsub, publisher, close } = createMemoryPubSub(config, context.clock);
    const state = createMemoryStore(config, context.clock, publisher);
    return {
      blocks: { state, pubsub },
      async health() {},
      async close() {
        state.close();
        close();
      },
    };
  },
});

export default memory;
