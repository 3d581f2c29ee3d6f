import { type Component, type ComponentContext, defineComponent } from "@mecha/component";
import { configSchema, type RedisConfig, resolveConnectOptions } from "./config.js";
import { type MigrationStep, openLayout } from "./layout.js";
import { createPubSub, pubsubFeatures } from "./pubsub/pubsub.js";
import { TopicRegistry } from "./pubsub/topic-registry.js";
import { Redis } from "./redis.js";
import { RedisStateStore, stateFeatures } from "./state/state.js";

export type { RedisConfig };

/** How each layout is made out of the one before. The first is made out of nothing: keyspaces come into being when they are written. */
const migrations: readonly MigrationStep[] = [async () => {}];

const durability = {
  HOST: "`appendonly yes` with `appendfsync always` (and `no-appendfsync-on-rewrite no`)",
  PROCESS: "any other AOF setting, and where CONFIG is hidden",
};

/** Redis, or Redis Cluster. */
export const redis = defineComponent<RedisConfig>({
  type: "redis",
  description: "Redis 7 or later, or a Redis Cluster.",
  config: configSchema,
  serves: {
    state: { features: stateFeatures, durability },
    pubsub: { features: pubsubFeatures, durability },
  },
  create,
});

async function create(config: RedisConfig, context: ComponentContext): Promise<Component> {
  const server = await Redis.connect(resolveConnectOptions(config), context.logger);
  try {
    await openLayout(server, config.keyPrefix, migrations, context.signal);
  } catch (error) {
    await server.close();
    throw error;
  }
  const topics = new TopicRegistry(server, config.keyPrefix);
  const state = new RedisStateStore(server, config, topics);
  const pubsub = createPubSub(server, config, topics, context.logger);
  return {
    blocks: { state, pubsub: pubsub.pubsub },
    health: (signal) => server.health(signal),
    async close() {
      state.close();
      await pubsub.close();
      await server.close();
    },
  };
}
