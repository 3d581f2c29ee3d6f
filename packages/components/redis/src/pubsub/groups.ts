import { randomBytes } from "node:crypto";
import { type GroupCall, type GroupSettings, type PubSub, requireSameGroup } from "@mecha/component";
import type { Redis } from "../redis.js";
import { deleteScript, openScript } from "./group-scripts.js";
import { groupKeys, topicKeys, topicTag } from "./layout.js";
import type { TopicRegistry } from "./topic-registry.js";

/** A group as it is stored. */
export interface Group {
  /** Another one when a group is deleted and opened again. */
  readonly id: string;
  readonly settings: GroupSettings;
  /** The hash tag of its topic; its route. */
  readonly tag: string;
  readonly keys: readonly string[];
  /** What the log calls it. */
  readonly nativeName: string;
}

type OpenCall = Parameters<PubSub["openGroup"]>[0];

/** Finds, makes and forgets groups. */
export class Groups {
  readonly #redis: Redis;
  readonly #keyPrefix: string;
  readonly #registry: TopicRegistry;

  constructor(redis: Redis, keyPrefix: string, registry: TopicRegistry) {
    this.#redis = redis;
    this.#keyPrefix = keyPrefix;
    this.#registry = registry;
  }

  async find(call: GroupCall): Promise<Group | undefined> {
    return parseGroup(call.group, this.#tag(call), await this.#stored(call));
  }

  async open({ settings, defaults, update, signal, ...call }: OpenCall): Promise<Group> {
    if (!this.#registry.has(call.keyspace, call.topic)) await this.#registry.add(call.keyspace, call.topic);
    const tag = this.#tag(call);
    for (;;) {
      const stored = await this.#stored(call);
      const group = parseGroup(call.group, tag, stored);
      if (group !== undefined) {
        if (settings === undefined) return group;
        requireSameGroup(call.group, group.settings, settings, update);
        if (!update) return group;
      }
      const wanted = settings ?? defaults;
      const id = group?.id ?? randomBytes(6).toString("base64url");
      const { start } = wanted;
      const text = `${id}|${JSON.stringify(wanted)}`;
      const args = [call.group, stored, text, id, start.type === "time" ? String(start.time) : start.type];
      const options = { route: tag, signal, repeatable: true };
      // If it is another one, another runtime was faster: what that stored counts.
      const now = await this.#redis.run(openScript, topicKeys(tag), args, options);
      const opened = now === text ? parseGroup(call.group, tag, text) : undefined;
      if (opened !== undefined) return opened;
    }
  }

  async delete(call: GroupCall): Promise<boolean> {
    const group = await this.find(call);
    if (group === undefined) return false;
    const { tag, keys, nativeName } = group;
    return (await this.#redis.run(deleteScript, keys, [nativeName], { route: tag, repeatable: true })) === 1;
  }

  /** The groups of a topic. */
  async all(keyspace: string, topic: string): Promise<Group[]> {
    const tag = topicTag(this.#keyPrefix, keyspace, topic);
    const stored = await this.#redis.read(["HGETALL", groupsKey(tag)], { route: tag }, (reply) =>
      Object.entries(reply as unknown as Record<string, string>),
    );
    return stored.flatMap(([name, text]) => parseGroup(name, tag, text) ?? []);
  }

  #tag({ keyspace, topic }: GroupCall): string {
    return topicTag(this.#keyPrefix, keyspace, topic);
  }

  #stored(call: GroupCall): Promise<string> {
    const tag = this.#tag(call);
    return this.#redis.read(["HGET", groupsKey(tag), call.group], { route: tag }, (reply) => String(reply ?? ""));
  }
}

const groupsKey = (tag: string) => `${tag}:groups`;

/** Reads what is stored of a group; undefined if nothing is. */
function parseGroup(name: string, tag: string, stored: string): Group | undefined {
  if (stored === "") return undefined;
  const bar = stored.indexOf("|");
  const id = stored.slice(0, bar);
  return {
    id,
    settings: JSON.parse(stored.slice(bar + 1)),
    tag,
    keys: groupKeys(tag, id),
    nativeName: `${name}#${id}`,
  };
}
