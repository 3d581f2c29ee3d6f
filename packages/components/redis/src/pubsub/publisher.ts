import { ComponentError, type PublishOutcome, type PubSubEntry, setFaultyAside } from "@mecha/component";
import { Batcher } from "../batcher.js";
import type { Argument } from "../command.js";
import { Abandoned, toComponentError } from "../failures.js";
import type { Redis } from "../redis.js";
import { publishKeys, topicTag } from "./layout.js";
import { publishScript } from "./publish-scripts.js";
import { faultOf, newMark, pushEntry } from "./publishable.js";
import type { TopicRegistry } from "./topic-registry.js";

/** A batch ends at this many bytes or entries, each of which counts as some bytes: what one script may cost the server's other callers. */
const maxBatchBytes = 1024 * 1024;
const entryBytes = 2048;

/** Whether a publish whose answer was lost was done is not known, though its entries were sent again: they are stored once at most. */
const unanswered = { write: true, repeatable: false };

type Entries = readonly PubSubEntry[];

/** Publishes to topics: what is published to one in the same turn of the event loop is one command. */
export class Publisher {
  readonly #redis: Redis;
  readonly #keyPrefix: string;
  readonly #registry: TopicRegistry;
  /** By tag. */
  readonly #topics = new Map<string, Batcher<Entries, readonly boolean[]>>();

  constructor(redis: Redis, keyPrefix: string, registry: TopicRegistry) {
    this.#redis = redis;
    this.#keyPrefix = keyPrefix;
    this.#registry = registry;
  }

  async publish(call: {
    readonly keyspace: string;
    readonly entries: Entries;
    readonly signal?: AbortSignal;
  }): Promise<readonly PublishOutcome[]> {
    const { sound, merge } = setFaultyAside(call.entries, faultOf);
    const parts = Map.groupBy(sound.keys(), (index) => sound[index]?.topic ?? "");
    const outcomes: PublishOutcome[] = [];
    let failure: unknown;
    await Promise.all(
      Array.from(parts, async ([topic, indexes]) => {
        const entries = indexes.map((index) => sound[index] as PubSubEntry);
        try {
          const duplicates = await this.#publish(call.keyspace, topic, entries, call.signal);
          for (const [at, index] of indexes.entries()) {
            outcomes[index] = { type: "published", duplicate: duplicates[at] === true };
          }
        } catch (error) {
          failure = error;
          if (!(error instanceof ComponentError)) throw error;
          for (const index of indexes) outcomes[index] = { type: "failed", error };
        }
      }),
    );
    // Nothing was published: the call as a whole has failed.
    if (failure !== undefined && outcomes.every(({ type }) => type === "failed")) throw failure;
    return merge(outcomes);
  }

  /** Hands everything that still waits to the connection, which finishes it. */
  flush(): void {
    for (const batcher of this.#topics.values()) batcher.flush();
  }

  async #publish(
    keyspace: string,
    topic: string,
    entries: Entries,
    signal: AbortSignal | undefined,
  ): Promise<readonly boolean[]> {
    if (!this.#registry.has(keyspace, topic)) await this.#registry.add(keyspace, topic);
    return this.#batcher(topicTag(this.#keyPrefix, keyspace, topic)).add(entries, signal);
  }

  #batcher(tag: string): Batcher<Entries, readonly boolean[]> {
    let batcher = this.#topics.get(tag);
    if (batcher === undefined) {
      batcher = new Batcher({
        maxWeight: maxBatchBytes,
        weigh: (entries) => entries.reduce((sum, { payload }) => sum + payload.length + entryBytes, 0),
        send: (calls, giveUp) => this.#send(tag, calls, giveUp),
        abandoned: (reason) => toComponentError(new Abandoned(reason, true), unanswered),
      });
      this.#topics.set(tag, batcher);
    }
    return batcher;
  }

  async #send(tag: string, calls: readonly Entries[], giveUp: () => void): Promise<readonly (readonly boolean[])[]> {
    const args: Argument[] = [newMark()];
    for (const entries of calls) for (const entry of entries) pushEntry(args, entry);
    try {
      const reply = (await this.#redis.runRaw(publishScript, publishKeys(tag), args, {
        route: tag,
        repeatable: true,
        giveUp,
      })) as readonly number[];
      let at = 0;
      return calls.map((entries) => entries.map(() => reply[at++] === 1));
    } catch (error) {
      throw toComponentError(error, unanswered);
    }
  }
}
