import { type Component, type ComponentContext, defineComponent } from "@mecha/component";
import { configSchema, type NatsConfig, resolveSettings } from "./config.js";
import { Connection } from "./connection.js";
import { resolveDialing } from "./dialing.js";
import { syncsAlways } from "./monitor.js";
import { createPubSub, pubsubFeatures } from "./pubsub.js";

export type { NatsConfig };

/** NATS with JetStream. */
export const nats = defineComponent<NatsConfig>({
  type: "nats",
  description: "NATS 2.9 or later with JetStream, or a cluster of it.",
  config: configSchema,
  serves: {
    pubsub: {
      features: pubsubFeatures,
      durability: {
        REPLICATED: "`replicas` of 3 or 5",
        HOST: "`monitorUrl` shows that the server has `sync_interval: always` (2.10 or later)",
        PROCESS: "otherwise: JetStream answers before it syncs, every two minutes by default",
      },
    },
  },
  create,
});

async function create(config: NatsConfig, { name, clock, logger, signal }: ComponentContext): Promise<Component> {
  const { monitorUrl, requestTimeoutMs } = config;
  const connection = await Connection.open(resolveDialing(config, name), logger);
  try {
    const syncs = monitorUrl !== undefined && (await syncsAlways(monitorUrl, requestTimeoutMs, signal));
    const { pubsub, start, close } = createPubSub(connection, resolveSettings(config, syncs), { clock, logger });
    await start();
    return {
      blocks: { pubsub },
      health: (asked) => connection.health(asked),
      async close() {
        await close();
        await connection.close();
      },
    };
  } catch (error) {
    await connection.close();
    throw error;
  }
}

export default nats;
