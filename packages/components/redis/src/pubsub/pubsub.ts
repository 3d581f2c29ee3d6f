import {
  type DeadLetter,
  type DeliverySource,
  type GroupCall,
  type Logger,
  type PubSub,
  type PubSubFeature,
  pubsubLimits,
} from "@mecha/component";
import type { Reply } from "../command.js";
import type { RedisConfig } from "../config.js";
import type { Redis } from "../redis.js";
import { detach } from "../state/item.js";
import { Arrivals } from "./arrivals.js";
import { backlogScript, exhumeAllScript, exhumeScript, listDeadScript } from "./group-scripts.js";
import { Groups } from "./groups.js";
import { parseDeadLetterId, toDeadLetterId } from "./handles.js";
import { Publisher } from "./publisher.js";
import { Source } from "./source.js";
import { startSweeper } from "./sweeper.js";
import type { TopicRegistry } from "./topic-registry.js";

/** All of them. */
export const pubsubFeatures = [
  "ORDERED",
  "DELAY",
  "REPLAY",
  "DEDUP",
  "TTL",
] as const satisfies readonly PubSubFeature[];

/** How many dead letters one script takes out: they may be large. */
const exhumeLimit = 64;
const hourMs = 60 * 60 * 1000;

/** The pubsub block: topics are streams, and whatever decides is a script. */
export function createPubSub(
  redis: Redis,
  { keyPrefix, eventRetentionHours }: Pick<RedisConfig, "keyPrefix" | "eventRetentionHours">,
  registry: TopicRegistry,
  logger: Logger,
): { pubsub: PubSub; close(): Promise<void> } {
  const groups = new Groups(redis, keyPrefix, registry);
  const publisher = new Publisher(redis, keyPrefix, registry);
  const arrivals = new Arrivals(redis);
  const retentionMs = eventRetentionHours * hourMs;
  const sweeper = startSweeper({ redis, keyPrefix, groups, registry, logger, retentionMs });
  const sources = new Set<DeliverySource>();

  /** Takes dead letters out in scripts of a bounded size; how many there were. */
  async function exhume(call: GroupCall, ids: readonly string[] | undefined, requeue: boolean): Promise<number> {
    const group = await groups.find(call);
    if (group === undefined) return 0;
    const { tag, keys, nativeName, settings } = group;
    const args = [nativeName, requeue ? "1" : "0", settings.ordered ? "1" : "0"];
    const options = { route: tag };
    let count = 0;
    if (ids !== undefined) {
      const known = ids.flatMap((each) => parseDeadLetterId(each) ?? []);
      for (let at = 0; at < known.length; at += exhumeLimit) {
        const some = known.slice(at, at + exhumeLimit);
        count += Number(await redis.run(exhumeScript, keys, [...args, ...some], options));
      }
      return count;
    }
    for (let last = ""; ; ) {
      const page = [...args, String(exhumeLimit), last];
      const reply = (await redis.run(exhumeAllScript, keys, page, options)) as readonly [number, string];
      count += reply[0];
      last = reply[1];
      if (reply[0] < exhumeLimit) return count;
    }
  }

  const pubsub: PubSub = {
    features: pubsubFeatures,
    get durability() {
      return redis.durability;
    },
    maxEventBytes: pubsubLimits.maxEventBytes,

    publish: (call) => publisher.publish(call),
    openGroup: async (call) => (await groups.open(call)).settings,
    settingsOf: async (call) => (await groups.find(call))?.settings,
    deleteGroup: (call) => groups.delete(call),

    async backlog(call) {
      const group = await groups.find(call);
      if (group === undefined) return 0;
      return Number(await redis.run(backlogScript, group.keys, [group.nativeName], { route: group.tag }));
    },

    consume(call) {
      const source = new Source(call, { redis, groups, arrivals, logger });
      const tracked: DeliverySource = {
        receive: (asked) => source.receive(asked),
        settle: (settlements) => source.settle(settlements),
        extend: (handles, leaseMs) => source.extend(handles, leaseMs),
        close() {
          sources.delete(tracked);
          return source.close();
        },
      };
      sources.add(tracked);
      return tracked;
    },

    async listDeadLetters({ after, limit, maxBytes, ...call }) {
      const group = await groups.find(call);
      const last = after === undefined ? "0-0" : parseDeadLetterId(after);
      if (group === undefined || last === undefined) return { deadLetters: [], more: false };
      const args = [last, String(limit), String(maxBytes)];
      const reply = await redis.run(listDeadScript, group.keys, args, { route: group.tag, binary: true });
      const [more, ...rest] = reply as readonly Reply[];
      return { deadLetters: toDeadLetters(rest), more: more === 1 };
    },

    requeueDeadLetters: ({ ids, ...call }) => exhume(call, ids, true),
    dropDeadLetters: ({ ids, ...call }) => exhume(call, ids, false),
  };

  return {
    pubsub,
    async close() {
      sweeper[Symbol.dispose]();
      publisher.flush();
      // What consumers hold goes back at once; if it cannot, the leases end by themselves.
      await Promise.allSettled([...sources].map((source) => source.close()));
    },
  };
}

function toDeadLetters(reply: readonly Reply[]): DeadLetter[] {
  const letters: DeadLetter[] = [];
  for (let at = 0; at < reply.length; at += 5) {
    const id = String(reply[at]);
    letters.push({
      id: toDeadLetterId(id),
      payload: detach(reply[at + 1] as Buffer, 0),
      orderingKey: String(reply[at + 2]),
      attempts: Number(reply[at + 3]),
      lastError: String(reply[at + 4]),
      // The stream of those that were given up counts its ids in time.
      time: Number(id.slice(0, id.indexOf("-"))),
    });
  }
  return letters;
}
