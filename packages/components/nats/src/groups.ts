import { randomUUID } from "node:crypto";
import { type GroupCall, type GroupSettings, requireSameGroup } from "@mecha/component";
import type { KvEntry } from "@nats-io/kv";
import type { Connection } from "./connection.js";
import { refusalCode, toComponentError } from "./errors.js";
import type { GroupNames, Names } from "./names.js";
import { consumersOf, type Topology } from "./topology.js";

/** `err_code`s of a write that another one came before, and of a consumer that is not there. */
const wrongLastSequence = 10071;
const consumerNotFound = 10014;

/** A group that exists, as its consumers see it. */
export interface Group {
  readonly call: GroupCall;
  readonly names: GroupNames;
  /** Tells it from one of the same name before or after it. */
  readonly id: string;
  readonly ordered: boolean;
  /** Its JetStream consumers: of its partitions, or of all events and then of what was requeued. */
  readonly consumers: readonly string[];
  /** How soon JetStream delivers again what is neither acked nor worked on, in ms. */
  readonly ackWaitMs: number;
  /** Aborts when it is deleted. */
  readonly deleted: AbortSignal;
}

/** What the bucket holds of a group. */
interface Stored {
  readonly id: string;
  readonly settings: GroupSettings;
}

interface Found {
  readonly group: Promise<Group | undefined>;
  readonly deleted: AbortController;
}

/** The groups of a component: their settings are in the bucket, their places in the topic at their consumers. */
export class Groups {
  readonly #connection: Connection;
  readonly #topology: Topology;
  readonly #names: Names;
  readonly #found = new Map<string, Found>();

  constructor(connection: Connection, topology: Topology, names: Names) {
    this.#connection = connection;
    this.#topology = topology;
    this.#names = names;
    connection.listen(names.deletions, (message) => this.#forgetDeleted(message.string()));
  }

  async settingsOf(call: GroupCall): Promise<GroupSettings | undefined> {
    return (await this.#stored(this.#names.group(call)))?.settings;
  }

  async open(
    call: GroupCall,
    options: { settings: GroupSettings | undefined; defaults: GroupSettings; update: boolean },
  ): Promise<GroupSettings> {
    const names = this.#names.group(call);
    const settings = await this.#settle(call, names, options);
    // Whoever made the settings may not have come to the consumers: every open makes what is missing.
    await this.#topology.group(names, settings);
    return settings;
  }

  /** A group that was opened; undefined if none was. */
  find(call: GroupCall): Promise<Group | undefined> {
    const { settingsKey } = this.#names.group(call);
    const known = this.#found.get(settingsKey);
    if (known !== undefined) return known.group;
    const deleted = new AbortController();
    const found = { group: this.#find(call, deleted.signal), deleted };
    this.#found.set(settingsKey, found);
    const forget = () => this.#found.get(settingsKey) === found && this.#found.delete(settingsKey);
    found.group.then((group) => group ?? forget(), forget);
    return found.group;
  }

  /** Its consumers turned out to be gone. */
  forget({ names }: Group): void {
    this.#topology.forget(names.topic);
    this.#found.delete(names.settingsKey);
  }

  /** Deletes all that is a group's own; whether there was one. */
  async delete(call: GroupCall): Promise<boolean> {
    const names = this.#names.group(call);
    const stored = await this.#stored(names);
    if (stored === undefined) return false;
    const { stream } = names.topic;
    await this.#topology.dead();
    const existed = await this.#topology.manage(async (jsm) => {
      for (const { name } of consumersOf(names, stored.settings)) {
        await jsm.consumers.delete(stream, name).catch((error: unknown) => {
          if (refusalCode(error) !== consumerNotFound) throw error;
        });
      }
      await jsm.streams.purge(stream, { filter: names.requeuedSubject() });
      await jsm.streams.purge(this.#names.deadStream, { filter: names.deadSubject });
      const inBucket = (key: string) => ({ filter: `$KV.${this.#names.bucket}.${key}` });
      await jsm.streams.purge(this.#names.bucketStream, inBucket(names.freeKey("*")));
      // Last: until then it can be deleted again. Of several who do, one finds it.
      return (await jsm.streams.purge(this.#names.bucketStream, inBucket(names.settingsKey))).purged > 0;
    });
    this.#forgetDeleted(names.settingsKey);
    const live = await this.#connection.ready();
    live.nc.publish(this.#names.deletions, names.settingsKey);
    return existed;
  }

  #forgetDeleted(settingsKey: string): void {
    const found = this.#found.get(settingsKey);
    this.#found.delete(settingsKey);
    found?.deleted.abort();
  }

  async #find(call: GroupCall, deleted: AbortSignal): Promise<Group | undefined> {
    const names = this.#names.group(call);
    const stored = await this.#stored(names);
    if (stored === undefined) return undefined;
    const { id, settings } = stored;
    const ackWaitMs = await this.#topology.group(names, settings);
    const consumers = consumersOf(names, settings).map(({ name }) => name);
    return { call, names, id, ordered: settings.ordered, consumers, ackWaitMs, deleted };
  }

  /** Makes, keeps or changes the settings. Of several who do it at once one is first, and the others meet what it stored. */
  async #settle(
    call: GroupCall,
    names: GroupNames,
    { settings, defaults, update }: { settings: GroupSettings | undefined; defaults: GroupSettings; update: boolean },
  ): Promise<GroupSettings> {
    const kv = await this.#topology.bucket();
    for (;;) {
      const stored = await this.#stored(names);
      if (stored !== undefined) {
        if (settings === undefined) return stored.settings;
        requireSameGroup(call.group, stored.settings, settings, update);
        if (!update) return stored.settings;
      }
      const wanted = settings ?? defaults;
      const value = { id: stored?.id ?? randomUUID(), settings: wanted } satisfies Stored;
      try {
        if (stored === undefined) await kv.create(names.settingsKey, JSON.stringify(value));
        else await kv.update(names.settingsKey, JSON.stringify(value), stored.revision);
        return wanted;
      } catch (error) {
        if (refusalCode(error) !== wrongLastSequence) throw toComponentError(error);
      }
    }
  }

  async #stored(names: GroupNames): Promise<(Stored & { readonly revision: number }) | undefined> {
    const kv = await this.#topology.bucket();
    let entry: KvEntry | null;
    try {
      entry = await kv.get(names.settingsKey);
    } catch (error) {
      throw toComponentError(error);
    }
    return entry?.operation === "PUT" ? { ...entry.json<Stored>(), revision: entry.revision } : undefined;
  }
}
