import { toComponentError } from "./errors.js";
import type { GroupNames, Names } from "./names.js";
import type { Topology } from "./topology.js";

/**
 * Deliveries that were no attempt. JetStream counts every delivery of an event; those that reached no app (an event that was handed back, or
 * that is not due yet) are counted here, in the bucket, so that any runtime knows the difference. Most events have none.
 */
export class FreeDeliveries {
  readonly #topology: Topology;
  readonly #names: Names;

  constructor(topology: Topology, names: Names) {
    this.#topology = topology;
    this.#names = names;
  }

  /** How many of an event's deliveries were free. */
  async count(group: GroupNames, sequence: number): Promise<number> {
    const kv = await this.#topology.bucket();
    try {
      const entry = await kv.get(group.freeKey(sequence));
      return entry?.operation === "PUT" ? Number(entry.string()) : 0;
    } catch (error) {
      throw toComponentError(error);
    }
  }

  /** Must be done before the event is given back: whoever gets it next asks. */
  async set(group: GroupNames, sequence: number, count: number): Promise<void> {
    const kv = await this.#topology.bucket();
    try {
      await kv.put(group.freeKey(sequence), String(count));
    } catch (error) {
      throw toComponentError(error);
    }
  }

  /** The event is done. */
  async forget(group: GroupNames, sequence: number): Promise<void> {
    const filter = `$KV.${this.#names.bucket}.${group.freeKey(sequence)}`;
    await this.#topology.manage((jsm) => jsm.streams.purge(this.#names.bucketStream, { filter }));
  }
}
