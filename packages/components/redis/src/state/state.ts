import {
  ComponentError,
  type Durability,
  type PubSubEntry,
  requirePublishable,
  type StateCall,
  type StateChange,
  type StateFeature,
  type StateItem,
  type StateOperation,
  type StatePublish,
  type StateRequestId,
  type StateResult,
  type StateStore,
} from "@mecha/component";
import type { RedisConfig } from "../config.js";
import { topicTag } from "../pubsub/layout.js";
import { faultOf } from "../pubsub/publishable.js";
import type { TopicRegistry } from "../pubsub/topic-registry.js";
import type { Redis } from "../redis.js";
import { Changes } from "./changes.js";
import { decodeItem } from "./item.js";
import { fixedKeys, itemKey, layoutVersion } from "./layout.js";
import { getManyScript, listScript } from "./read-scripts.js";
import { type WatchTarget, watch } from "./watch.js";
import { type TopicEntries, WriteQueue, type WriteReply } from "./write-queue.js";

export const stateFeatures = ["TRANSACT", "WATCH", "TTL", "OUTBOX"] as const satisfies readonly StateFeature[];
/** On a cluster a keyspace and a topic are in different slots, which no script reaches both. */
const clusterFeatures = stateFeatures.filter((feature) => feature !== "OUTBOX");

const nothing: TopicEntries = new Map();

/** What is known of a keyspace. */
interface Space {
  /** Its hash tag. */
  readonly tag: string;
  readonly keys: readonly string[];
  readonly writes: WriteQueue;
}

/** The state block: every call is one command, so each is atomic and reads are snapshots. */
export class RedisStateStore implements StateStore {
  readonly features: readonly StateFeature[];
  readonly #redis: Redis;
  readonly #keyPrefix: string;
  readonly #history: number;
  readonly #changes: Changes;
  readonly #spaces = new Map<string, Space>();

  readonly #topics: TopicRegistry;

  constructor(redis: Redis, { keyPrefix, history }: Pick<RedisConfig, "keyPrefix" | "history">, topics: TopicRegistry) {
    this.features = redis.isCluster ? clusterFeatures : stateFeatures;
    this.#topics = topics;
    this.#redis = redis;
    this.#keyPrefix = keyPrefix;
    this.#history = history;
    this.#changes = new Changes(redis, history);
  }

  get durability(): Durability {
    return this.#redis.durability;
  }

  get(call: StateCall & { readonly key: string }): Promise<StateItem | undefined> {
    const { tag } = this.#space(call.keyspace);
    const { key, signal } = call;
    return this.#redis.read(["GET", itemKey(tag, key)], { route: tag, signal, binary: true }, (stored) =>
      stored === null ? undefined : decodeItem(key, stored as Buffer),
    );
  }

  async getMany(
    call: StateCall & { readonly keys: readonly string[]; readonly maxBytes: number },
  ): Promise<StateItem[]> {
    const { tag } = this.#space(call.keyspace);
    if (call.keys.length === 0) return [];
    const reply = await this.#redis.run(
      getManyScript,
      call.keys.map((key) => itemKey(tag, key)),
      [String(call.maxBytes)],
      { route: tag, signal: call.signal, binary: true },
    );
    if (typeof reply === "number") {
      throw new ComponentError(
        "TOO_LARGE",
        `the values have ${reply} bytes together, more than ${call.maxBytes}; ask for fewer keys`,
        { metadata: { limit_bytes: String(call.maxBytes), actual_bytes: String(reply) } },
      );
    }
    const items: StateItem[] = [];
    for (const [index, stored] of (reply as (Buffer | null)[]).entries()) {
      if (stored !== null) items.push(decodeItem(call.keys[index] as string, stored));
    }
    return items;
  }

  async write(
    call: StateCall & {
      readonly operations: readonly StateOperation[];
      readonly publishes?: readonly StatePublish[];
      readonly requestId: StateRequestId | undefined;
    },
  ): Promise<StateResult[]> {
    const { operations, publishes = [] } = call;
    const { tag, writes } = this.#space(call.keyspace);
    const entries = publishes.length === 0 ? nothing : await this.#entriesOf(publishes);
    const reply = await writes.write(operations, entries, call.requestId, call.signal);
    if (reply[0] !== "done") throw refusal(reply, operations);
    let ttlMs = Number.POSITIVE_INFINITY;
    for (const operation of operations) {
      if (operation.type === "set") ttlMs = Math.min(ttlMs, operation.ttlMs ?? ttlMs);
    }
    if (ttlMs !== Number.POSITIVE_INFINITY) this.#changes.expect(tag, ttlMs);
    const [, etag, found] = reply as readonly [string, string, string];
    return operations.map((operation, index): StateResult => {
      if (operation.type === "set") return { type: "set", etag };
      return operation.type === "delete" ? { type: "delete", existed: found[index] === "1" } : { type: "check" };
    });
  }

  async list(call: Parameters<StateStore["list"]>[0]): Promise<{ items: StateItem[]; more: boolean }> {
    const { tag, keys } = this.#space(call.keyspace);
    let after = call.after ?? "";
    for (;;) {
      const args = [after, call.prefix, String(call.limit), String(call.maxBytes), call.keysOnly ? "1" : "0"];
      const options = { route: tag, signal: call.signal, binary: true };
      const reply = (await this.#redis.run(listScript, keys, args, options)) as [number, Buffer, ...Buffer[]];
      const more = reply[0] === 1;
      const items: StateItem[] = [];
      for (let i = 2; i < reply.length; i += 2) {
        items.push(decodeItem(String(reply[i]), reply[i + 1] as Buffer, call.keysOnly));
      }
      // A page of nothing but expired items is not the end.
      if (items.length > 0 || !more) return { items, more };
      after = String(reply[1]);
    }
  }

  watch(
    call: StateCall & {
      readonly target: WatchTarget;
      readonly resumeToken: string | undefined;
      readonly signal: AbortSignal;
    },
  ): AsyncIterable<readonly StateChange[]> {
    const { tag } = this.#space(call.keyspace);
    return watch({
      redis: this.#redis,
      changes: this.#changes,
      keyspace: call.keyspace,
      tag,
      target: call.target,
      resumeToken: call.resumeToken,
      signal: call.signal,
      list: (page) => this.list({ ...page, keyspace: call.keyspace, signal: call.signal }),
    });
  }

  /** Ends the watches and hands everything that still waits to the connection, which finishes it. */
  close(): void {
    this.#changes.close();
    for (const { writes } of this.#spaces.values()) writes.flush();
  }

  /** What a write publishes, by topic, each of which is known to the sweep. */
  async #entriesOf(publishes: readonly StatePublish[]): Promise<TopicEntries> {
    requirePublishable(publishes, faultOf);
    const topics = new Map<string, PubSubEntry[]>();
    for (const { keyspace, entry } of publishes) {
      if (!this.#topics.has(keyspace, entry.topic)) await this.#topics.add(keyspace, entry.topic);
      const tag = topicTag(this.#keyPrefix, keyspace, entry.topic);
      const entries = topics.get(tag);
      if (entries === undefined) topics.set(tag, [entry]);
      else entries.push(entry);
    }
    return topics;
  }

  #space(keyspace: string): Space {
    let space = this.#spaces.get(keyspace);
    if (space === undefined) {
      const tag = `{${this.#keyPrefix}:${keyspace}}`;
      const keys = fixedKeys(tag);
      space = { tag, keys, writes: new WriteQueue(this.#redis, tag, keys, this.#history) };
      this.#spaces.set(keyspace, space);
    }
    return space;
  }
}

/** Why the write script did nothing. */
function refusal(reply: WriteReply, operations: readonly StateOperation[]): ComponentError {
  const [why, detail] = reply;
  if (why === "layout") {
    return new ComponentError(
      "COMPONENT_UNAVAILABLE",
      `this keyspace has layout ${detail}, of a newer Mecha; this one writes layout ${layoutVersion}: upgrade it`,
    );
  }
  if (why === "reused") {
    const violations = [{ field: "request_id", description: "was used with another request" }];
    return new ComponentError("BAD_REQUEST", "this request id was used with another request; take a new one", {
      violations,
    });
  }
  const key = operations[Number(detail)]?.key ?? "";
  const options = { metadata: { key, operation_index: String(detail) } };
  if (why === "exists") return new ComponentError("ALREADY_EXISTS", `the key "${key}" exists already`, options);
  if (why === "absent") return new ComponentError("NOT_EXISTS", `the key "${key}" does not exist`, options);
  return new ComponentError("ETAG_MISMATCH", `the key "${key}" has changed or is gone: it has another etag`, options);
}
