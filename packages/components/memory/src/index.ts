import { defineComponent } from "@mecha/component";
import { config } from "./config.js";
import { createMemoryStore, durability, features } from "./state.js";

/** State in the memory of the runtime's process: gone when it ends, and as fast as it gets. */
export const memory = defineComponent({
  type: "memory",
  description: "State that lives as long as the process, for tests and caches.",
  config,
  serves: { state: { features, durability: { [durability]: "always: what is stored ends with the process" } } },
  async create(config, context) {
    const state = createMemoryStore(config, context.clock);
    return {
      blocks: { state },
      async health() {},
      async close() {
        state.close();
      },
    };
  },
});

export default memory;
