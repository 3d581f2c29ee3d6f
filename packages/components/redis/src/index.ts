import { type Binding, type Component, type ComponentContext, defineComponent } from "@mecha/component";
import { createBinding, noBinding } from "./binding/binding.js";
import { operations } from "./binding/operations.js";
import { configSchema, type RedisConfig, resolveBindingOptions, resolveConnectOptions } from "./config.js";
import { createDiscovery, discoveryFeatures } from "./discovery/discovery.js";
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
    binding: { features: ["OUTPUT"], operations },
  },
  servesOnRequest: { discovery: { features: discoveryFeatures } },
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
  const { binding, commands } = await openBinding(config, server, context).catch(async (error: unknown) => {
    await server.close();
    throw error;
  });
  const topics = new TopicRegistry(server, config.keyPrefix);
  const state = new RedisStateStore(server, config, topics);
  const pubsub = createPubSub(server, config, topics, context.logger);
  const names = createDiscovery(server, config, context.logger);
  return {
    blocks: { state, pubsub: pubsub.pubsub, binding, discovery: names.discovery },
    async health(signal) {
      await Promise.all([server.health(signal), commands?.health(signal)]);
    },
    async close() {
      state.close();
      names.close();
      await pubsub.close();
      await Promise.all([server.close(), commands?.close()]);
    },
  };
}

/** The binding block, if it is configured, and its connections, if they are its own. */
async function openBinding(
  config: RedisConfig,
  server: Redis,
  { logger }: ComponentContext,
): Promise<{ binding: Binding; commands: Redis | undefined }> {
  if (config.binding === undefined) return { binding: noBinding, commands: undefined };
  const options = resolveBindingOptions(config);
  const commands = options && (await Redis.connect(options, logger));
  const { keyPrefix, binding } = config;
  return { binding: createBinding({ redis: commands ?? server, commands: binding.commands, keyPrefix }), commands };
}
