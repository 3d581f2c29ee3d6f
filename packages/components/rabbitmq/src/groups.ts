import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { type GroupCall, type GroupSettings, requireSameGroup } from "@mecha/component";
import type { Connection } from "./connection.js";
import { isNotFound, toComponentError } from "./errors.js";
import type { GroupNames, GroupQueues, Names } from "./names.js";
import type { Topology } from "./topology.js";

/** What a group's settings queue holds. */
interface Stored {
  /** Tells the group from one of the same name before or after it. */
  readonly id: string;
  readonly settings: GroupSettings;
}

/** While one reads the settings another finds their queue empty: it looks again, so often and after so many ms. */
const reads = { times: 100, everyMs: 5 };

/** The groups of a component. Each one's settings are the one message of a queue, which is read and put back. */
export class Groups {
  readonly #connection: Connection;
  readonly #topology: Topology;
  readonly #names: Names;

  constructor(connection: Connection, topology: Topology, names: Names) {
    this.#connection = connection;
    this.#topology = topology;
    this.#names = names;
  }

  async settingsOf(call: GroupCall): Promise<GroupSettings | undefined> {
    return (await this.#read(this.#names.group(call)))?.settings;
  }

  /** The queues of a group that was opened; undefined if none was. */
  async queuesOf(call: GroupCall): Promise<GroupQueues | undefined> {
    const names = this.#names.group(call);
    const stored = await this.#read(names);
    if (stored === undefined) return undefined;
    const queues = names.queues(stored.id);
    // Whoever made the settings may not have come to the queues.
    await this.#topology.group(call, queues);
    return queues;
  }

  async open(
    call: GroupCall,
    options: { settings: GroupSettings | undefined; defaults: GroupSettings; update: boolean },
  ): Promise<GroupSettings> {
    const names = this.#names.group(call);
    const read = await this.#read(names);
    const stored =
      read !== undefined && keeps(call.group, read.settings, options)
        ? read
        : await this.#topology.locked(names, () => this.#change(call, names, options));
    await this.#topology.group(call, names.queues(stored.id));
    return stored.settings;
  }

  /** Deletes a group; whether there was one. */
  delete(call: GroupCall): Promise<boolean> {
    const names = this.#names.group(call);
    return this.#topology.locked(names, async () => {
      const stored = await this.#read(names);
      if (stored === undefined) return false;
      await this.#topology.deleteGroup(call, names, names.queues(stored.id));
      return true;
    });
  }

  /** Makes or changes the settings, unless another runtime was faster. */
  async #change(
    { group }: GroupCall,
    names: GroupNames,
    options: { settings: GroupSettings | undefined; defaults: GroupSettings; update: boolean },
  ): Promise<Stored> {
    const now = await this.#read(names);
    if (now !== undefined && keeps(group, now.settings, options)) return now;
    const wanted = { id: now?.id ?? randomUUID(), settings: options.settings ?? options.defaults };
    await this.#topology.settings(names);
    const content = new TextEncoder().encode(JSON.stringify(wanted));
    try {
      // The queue drops the message before it.
      await this.#connection.publish({ exchange: "", routingKey: names.settings, content });
    } catch (error) {
      throw toComponentError(error, "the group may have been opened");
    }
    return wanted;
  }

  async #read({ settings }: GroupNames): Promise<Stored | undefined> {
    const channel = await this.#connection.channel();
    try {
      for (let tries = 0; tries < reads.times; tries++) {
        const message = await channel.get(settings);
        if (message !== false) {
          channel.nack(message);
          return JSON.parse(message.content.toString()) as Stored;
        }
        await delay(reads.everyMs);
      }
      return undefined; // Whoever made the queue did not come to the settings.
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw toComponentError(error);
    } finally {
      await channel.close().catch(() => {});
    }
  }
}

/** Whether the settings that a group has are to stay; throws GROUP_MISMATCH if they are not those that were asked for. */
function keeps(
  group: string,
  has: GroupSettings,
  { settings, update }: { settings: GroupSettings | undefined; update: boolean },
): boolean {
  if (settings === undefined) return true;
  requireSameGroup(group, has, settings, update);
  return !update;
}
