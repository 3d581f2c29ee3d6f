import {
  type AppCall,
  AppWatches,
  type Discovery,
  type FoundApp,
  type Instance,
  type LeaseCall,
  type Logger,
} from "@mecha/component";
import type { RedisConfig } from "../config.js";
import { listen } from "../notifications.js";
import type { Redis } from "../redis.js";
import type { Script } from "../script.js";
import { appKeys, appsKey, changedChannel, namespaceTag } from "./layout.js";
import { deregisterScript, findScript, listScript, registerScript, renewScript } from "./scripts.js";

export const discoveryFeatures = ["REGISTER", "LIST"] as const;

/** What is watched in one namespace; it listens to one channel. */
interface Space {
  readonly watches: AppWatches;
  readonly listening: Disposable;
}

/** The discovery block: leases that end by Redis' clock. What decides is a script, so that each is seen as a whole or not at all. */
export function createDiscovery(
  redis: Redis,
  { keyPrefix }: Pick<RedisConfig, "keyPrefix">,
  logger: Logger,
): { discovery: Discovery; close(): void } {
  const spaces = new Map<string, Space>();
  const tagOf = (namespace: string) => namespaceTag(keyPrefix, namespace);

  async function find(namespace: string, apps: readonly AppCall[], signal?: AbortSignal): Promise<FoundApp[]> {
    const tag = tagOf(namespace);
    const keys = apps.flatMap(({ app }) => appKeys(tag, app));
    const reply = await redis.run(findScript, keys, [], { route: tag, signal });
    return (reply as readonly (readonly [number, ...string[]] | readonly [])[]).map((found, index) => {
      const [endsInMs, ...known] = found;
      return endsInMs === undefined
        ? { instances: undefined, endsInMs }
        : { instances: toInstances(apps[index]?.app ?? "", known), endsInMs };
    });
  }

  function open(namespace: string): Space {
    const tag = tagOf(namespace);
    const watches = new AppWatches({
      find: (apps) => find(namespace, apps),
      onFailure: (error) =>
        logger.warn("cannot look for apps that are watched; will try again", { error: String(error) }),
    });
    let heard = false;
    const listening = listen(redis, tag, changedChannel(tag), (app) => {
      if (app !== undefined) watches.changed({ namespace, app });
      else if (heard) watches.missed();
      else watches.changed();
      heard = true;
    });
    return { watches, listening };
  }

  /** Runs a script on a lease; done twice it is done once. */
  function write(script: Script, { namespace, app, id }: LeaseCall, ...args: readonly string[]) {
    const tag = tagOf(namespace);
    const keys = [appsKey(tag), ...appKeys(tag, app)];
    return redis.run(script, keys, [app, id, ...args], { route: tag, repeatable: true });
  }

  return {
    discovery: {
      features: discoveryFeatures,
      describe: ({ namespace }) => `in namespace "${namespace}" of the Redis that its runtimes share`,
      async resolve({ signal, ...call }) {
        const [found] = await find(call.namespace, [call], signal);
        return found?.instances;
      },
      watch(call) {
        const space = spaces.get(call.namespace) ?? open(call.namespace);
        spaces.set(call.namespace, space);
        return space.watches.watch(call);
      },
      async list({ namespace, signal }) {
        const tag = tagOf(namespace);
        const apps = (await redis.run(listScript, [appsKey(tag)], [], { route: tag, signal })) as readonly string[];
        return apps.toSorted();
      },
      leases: {
        async register({ namespace, instance: { app, id, ...known }, ttlMs }) {
          const { address, version, zone, weight } = known;
          const json = JSON.stringify({ address, version, zone, weight });
          await write(registerScript, { namespace, app, id }, String(ttlMs), json);
        },
        async renew({ ttlMs, ...lease }) {
          return (await write(renewScript, lease, String(ttlMs))) === 1;
        },
        async deregister(lease) {
          await write(deregisterScript, lease);
        },
      },
    },
    close() {
      for (const { watches, listening } of spaces.values()) {
        watches.close();
        listening[Symbol.dispose]();
      }
    },
  };
}

/** Of ids and what is known of each, in turns. */
function toInstances(app: string, known: readonly string[]): Instance[] {
  const instances: Instance[] = [];
  for (let index = 0; index < known.length; index += 2) {
    const rest = JSON.parse(known[index + 1] ?? "") as Omit<Instance, "id" | "app">;
    instances.push({ id: known[index] ?? "", app, ...rest });
  }
  return instances.sort((a, b) => (a.id < b.id ? -1 : 1));
}
