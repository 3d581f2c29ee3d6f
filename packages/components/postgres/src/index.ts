import { defineComponent } from "@mecha/component";
import { openSqlBinding } from "./binding/open.js";
import { operations } from "./binding/operations.js";
import { config } from "./config.js";
import { connect } from "./connection.js";
import { createDiscovery, discoveryFeatures } from "./discovery/discovery.js";
import { createPubSub, pubsubFeatures } from "./pubsub/pubsub.js";
import { createStateStore, durabilities, features } from "./state/state.js";

/** State and events in PostgreSQL: for apps that run in several places, and for data that must outlive a host. */
export const postgres = defineComponent({
  type: "postgres",
  description: "PostgreSQL 14 or later: durable, shared by any number of runtimes.",
  config,
  serves: {
    state: { features, durability: durabilities },
    pubsub: { features: pubsubFeatures, durability: durabilities },
    binding: { features: ["OUTPUT"], operations },
  },
  servesOnRequest: { discovery: { features: discoveryFeatures } },
  async create(config, context) {
    const sql = await openSqlBinding(config, context);
    const connection = await connect(config, context).catch(async (error: unknown) => {
      await sql.close();
      throw error;
    });
    const retentionMs = config.eventRetentionHours * 60 * 60 * 1000;
    const events = createPubSub(connection, { retentionMs, logger: context.logger });
    const state = createStateStore(connection, events.encodePublishes);
    const names = createDiscovery(connection, context.logger);
    return {
      blocks: { state, pubsub: events.pubsub, binding: sql.binding, discovery: names.discovery },
      async health(signal) {
        await Promise.all([connection.health(signal), sql.health(signal)]);
      },
      async close() {
        names.close();
        await Promise.all([state.close(), events.close(), sql.close()]);
        await connection.close();
      },
    };
  },
});

export default postgres;
