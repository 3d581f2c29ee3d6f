import { defineComponent } from "@mecha/component";
import { resolveSettings, sqliteConfig } from "./config.js";
import { openConnection } from "./connection.js";
import { createDiscovery, discoveryFeatures } from "./discovery/discovery.js";
import { createPubSub, pubsubFeatures } from "./pubsub.js";
import { createStateStore, stateFeatures } from "./state.js";

export type { SqliteConfig } from "./config.js";

const durability = { HOST: "`synchronous: full`, the default", PROCESS: "`synchronous: normal`" };

/** The embedded default: one durable file, several processes. */
export const sqlite = defineComponent({
  type: "sqlite",
  description: "The embedded default: one durable SQLite file that several runtimes of a host may share.",
  config: sqliteConfig,
  serves: {
    state: { features: stateFeatures, durability },
    pubsub: { features: pubsubFeatures, durability },
    discovery: { features: discoveryFeatures },
  },
  async create(config, context) {
    const settings = resolveSettings(config, context);
    const connection = await openConnection(settings, context);
    const state = createStateStore(connection, settings, context);
    const pubsub = createPubSub(connection, settings, context);
    const discovery = createDiscovery(connection, context);
    return {
      blocks: { state: state.store, pubsub: pubsub.pubsub, discovery },
      async health() {
        await connection.check();
      },
      async close() {
        state.close();
        await pubsub.close();
        await connection.close();
      },
    };
  },
});
