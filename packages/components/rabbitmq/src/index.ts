import { type Component, type ComponentContext, defineComponent } from "@mecha/component";
import { configSchema, type RabbitmqConfig } from "./config.js";
import { Connection } from "./connection.js";
import { createPubSub, pubsubFeatures } from "./pubsub.js";

export type { RabbitmqConfig };

/** RabbitMQ, with quorum queues. */
export const rabbitmq = defineComponent<RabbitmqConfig>({
  type: "rabbitmq",
  description: "RabbitMQ 3.10 or later, with quorum queues.",
  config: configSchema,
  serves: {
    pubsub: {
      features: pubsubFeatures,
      durability: { HOST: "always: a quorum queue confirms what is synced, in a cluster by a majority" },
    },
  },
  create,
});

async function create(config: RabbitmqConfig, { name, clock, logger }: ComponentContext): Promise<Component> {
  const connection = await Connection.open(config, name, logger);
  const { pubsub, close } = createPubSub(connection, config, clock);
  return {
    blocks: { pubsub },
    health: (signal) => connection.health(signal),
    async close() {
      await close();
      await connection.close();
    },
  };
}

export default rabbitmq;
