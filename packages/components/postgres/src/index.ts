import { defineComponent } from "@mecha/component";
import { config } from "./config.js";
import { connect } from "./connection.js";
import { createStateStore, durabilities, features } from "./state/state.js";

/** State in PostgreSQL: for apps that run in several places, and for data that must outlive a host. */
export const postgres = defineComponent({
  type: "postgres",
  description: "PostgreSQL 14 or later: durable, shared by any number of runtimes.",
  config,
  serves: { state: { features, durability: durabilities } },
  async create(config, context) {
    const connection = await connect(config, context);
    const state = createStateStore(connection);
    return {
      blocks: { state },
      health: (signal) => connection.health(signal),
      async close() {
        await state.close();
        await connection.close();
      },
    };
  },
});

export default postgres;
