import { defineComponent } from "@mecha/component";
import { resolveSettings, sqliteConfig } from "./config.js";
import { openConnection } from "./connection.js";
import { createStateStore, stateFeatures } from "./state.js";

export type { SqliteConfig } from "./config.js";

/** The embedded default: one durable file, several processes. */
export const sqlite = defineComponent({
  type: "sqlite",
  description: "The embedded default: one durable SQLite file that several runtimes of a host may share.",
  config: sqliteConfig,
  serves: {
    state: {
      features: stateFeatures,
      durability: { HOST: "`synchronous: full`, the default", PROCESS: "`synchronous: normal`" },
    },
  },
  async create(config, context) {
    const settings = resolveSettings(config, context);
    const connection = await openConnection(settings, context);
    const state = createStateStore(connection, settings, context);
    return {
      blocks: { state: state.store },
      async health() {
        await connection.check();
      },
      async close() {
        state.close();
        await connection.close();
      },
    };
  },
});
