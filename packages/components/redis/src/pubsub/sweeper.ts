import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "@mecha/component";
import type { Redis } from "../redis.js";
import type { Groups } from "./groups.js";
import { publishKeys, topicKeys, topicTag } from "./layout.js";
import { forgetSeenScript } from "./publish-scripts.js";
import { keepOldScript, trimScript } from "./sweep-scripts.js";
import type { TopicRegistry } from "./topic-registry.js";

const intervalMs = 30_000;
/** How many events of a group one script copies: they may be large. */
const keepLimit = 16;

/** What a sweeper needs. */
export interface SweeperContext {
  readonly redis: Redis;
  readonly keyPrefix: string;
  readonly groups: Groups;
  readonly registry: TopicRegistry;
  readonly logger: Logger;
  readonly retentionMs: number;
}

/** Forgets what is old in one topic, in small steps. */
export async function sweepTopic(
  { redis, keyPrefix, groups, retentionMs }: SweeperContext,
  { keyspace, topic }: { readonly keyspace: string; readonly topic: string },
  signal: AbortSignal,
): Promise<void> {
  const tag = topicTag(keyPrefix, keyspace, topic);
  const options = { route: tag, repeatable: true };
  const retention = String(retentionMs);
  for (const { keys, nativeName, settings } of await groups.all(keyspace, topic)) {
    const args = [nativeName, retention, String(keepLimit), settings.ordered ? "1" : "0"];
    while (!signal.aborted && (await redis.run(keepOldScript, keys, args, options)) === keepLimit);
  }
  await redis.run(forgetSeenScript, publishKeys(tag), [], options);
  while (!signal.aborted && (await redis.run(trimScript, topicKeys(tag), [retention], options)) !== 0);
}

/**
 * Starts forgetting what is old, now and then, in one process of all that share the server; what is returned ends it. Deliveries never depend
 * on it.
 */
export function startSweeper(context: SweeperContext): Disposable {
  const { redis, keyPrefix, registry, logger } = context;
  const stop = new AbortController();
  const { signal } = stop;
  const key = `{${keyPrefix}}:sweep`;

  const sweep = async () => {
    registry.forget();
    const turn = ["SET", key, "1", "NX", "PX", String(intervalMs - 1_000)];
    if ((await redis.write(turn, { route: key, repeatable: true })) === null) return;
    for await (const topic of registry.all()) {
      if (signal.aborted) return;
      await sweepTopic(context, topic, signal);
    }
  };

  const run = async () => {
    for (;;) {
      await delay(intervalMs, undefined, { ref: false, signal });
      await sweep().catch((error: unknown) => {
        if (!signal.aborted) logger.warn("cannot forget old events; will try again", { error: String(error) });
      });
    }
  };
  run().catch(() => {}); // It was stopped.
  return { [Symbol.dispose]: () => stop.abort() };
}
