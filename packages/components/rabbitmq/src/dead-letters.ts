import { randomUUID } from "node:crypto";
import type { Clock, DeadLetter, GroupCall } from "@mecha/component";
import type { Channel, ConsumeMessage } from "amqplib";
import type { Connection } from "./connection.js";
import { toComponentError, unavailable } from "./errors.js";
import type { Groups } from "./groups.js";
import { type DeadHeaders, readDead, toDeadProperties, toProperties } from "./messages.js";
import type { GroupQueues, Names } from "./names.js";
import type { Topology } from "./topology.js";

/** How many are looked at in one go, the oldest first: a queue can only be looked through by taking everything and putting it back. */
const maxLook = 10_000;
const timeDigits = 15;

/** What is done with a dead letter that is looked at. */
type Verdict = "keep" | "take";

/** The oldest of the dead letters that it is given: at most so many, and so many bytes, but one is always allowed. */
class Page {
  readonly deadLetters: DeadLetter[] = [];
  /** There are others, which are not so old. */
  more: boolean = false;

  constructor(
    readonly limit: number,
    readonly maxBytes: number,
  ) {}

  add(dead: DeadLetter): void {
    const older = this.deadLetters.findLastIndex(({ id }) => id < dead.id);
    this.deadLetters.splice(older + 1, 0, dead);
    let bytes = 0;
    const beyond = this.deadLetters.findIndex(({ payload }, index) => {
      bytes += payload.byteLength;
      return index === this.limit || (index > 0 && bytes > this.maxBytes);
    });
    if (beyond === -1) return;
    this.deadLetters.length = beyond;
    this.more = true;
  }
}

/** What groups gave up: a queue for each. */
export class DeadLetters {
  readonly #connection: Connection;
  readonly #topology: Topology;
  readonly #groups: Groups;
  readonly #names: Names;
  readonly #clock: Clock;
  #count = 0;

  constructor(context: {
    readonly connection: Connection;
    readonly topology: Topology;
    readonly groups: Groups;
    readonly names: Names;
    readonly clock: Clock;
  }) {
    const { connection, topology, groups, names, clock } = context;
    this.#connection = connection;
    this.#topology = topology;
    this.#groups = groups;
    this.#names = names;
    this.#clock = clock;
  }

  /** Keeps an event that its group gave up; false if the group is gone. */
  async bury(
    { events, dead: queue }: GroupQueues,
    dead: Omit<DeadHeaders, "time"> & { content: Uint8Array },
  ): Promise<boolean> {
    const { content, ...headers } = dead;
    const time = this.#clock.now();
    this.#count = (this.#count + 1) % 1_000_000;
    const parts = [String(time).padStart(timeDigits, "0"), String(this.#count).padStart(6, "0"), randomUUID()];
    const options = toDeadProperties(parts.join("-"), { ...headers, time });
    if (await this.#connection.publish({ exchange: "", routingKey: queue, content, options })) return true;
    if ((await this.#topology.count(events)) === undefined) return false;
    throw unavailable(`the queue of dead letters "${queue}" is gone, and its group is not; declare it again`);
  }

  async list(
    call: GroupCall,
    { after, limit, maxBytes }: { after: string | undefined; limit: number; maxBytes: number },
  ): Promise<{ deadLetters: DeadLetter[]; more: boolean }> {
    // The broker may put back what was looked at in another order, so the oldest are picked out of all.
    const page = new Page(limit, maxBytes);
    await this.#look(call, maxLook, (message) => {
      const { id, orderingKey, attempts, error, time } = readDead(message);
      if (after === undefined || id > after) {
        page.add({ id, payload: message.content, orderingKey, attempts, lastError: error, time });
      }
      return "keep";
    });
    return page;
  }

  /** Takes dead letters out, to deliver them again or to forget them; how many there were. */
  async exhume(call: GroupCall, ids: readonly string[] | undefined, requeue: boolean): Promise<number> {
    const queues = await this.#groups.queuesOf(call);
    if (queues === undefined) return 0;
    const wanted = ids && new Set(ids);
    const act = async (message: ConsumeMessage): Promise<Verdict> => {
      const { id, orderingKey } = readDead(message);
      if (wanted?.has(id) === false) return "keep";
      if (requeue) {
        const options = toProperties({ orderingKey, attempts: 0 });
        await this.#connection.publish({ exchange: "", routingKey: queues.events, content: message.content, options });
      }
      return "take";
    };
    if (wanted !== undefined) return this.#look(call, maxLook, act);
    // Those that are dead now; what is given up meanwhile is not among them.
    let count = 0;
    for (let left = (await this.#topology.count(queues.dead)) ?? 0; left > 0; ) {
      const taken = await this.#look(call, Math.min(left, maxLook), act);
      if (taken === 0) break;
      count += taken;
      left -= taken;
    }
    return count;
  }

  /** Looks through the oldest dead letters; how many were taken out. One runtime at a time: others would find some missing. */
  async #look(
    call: GroupCall,
    limit: number,
    judge: (message: ConsumeMessage) => Verdict | Promise<Verdict>,
  ): Promise<number> {
    const queue = (await this.#groups.queuesOf(call))?.dead;
    if (queue === undefined || (await this.#topology.count(queue)) === 0) return 0;
    return this.#topology.locked(this.#names.group(call), async () => {
      const count = Math.min(limit, (await this.#topology.count(queue)) ?? 0);
      if (count === 0) return 0;
      try {
        return await this.#connection.use((channel) => lookThrough(channel, queue, count, judge));
      } catch (error) {
        throw toComponentError(error, "some dead letters may have been moved");
      }
    });
  }
}

/** Takes `count` messages of a queue, one after the other, and puts back what is kept. */
async function lookThrough(
  channel: Channel,
  queue: string,
  count: number,
  judge: (message: ConsumeMessage) => Verdict | Promise<Verdict>,
): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  let seen = 0;
  let taken = 0;
  let judging: Promise<void> = Promise.resolve();
  const look = async (message: ConsumeMessage) => {
    const verdict = await judge(message);
    seen += 1;
    if (verdict === "take") {
      channel.ack(message);
      taken += 1;
    }
    if (seen === count) resolve(taken);
  };
  channel.on("close", () => reject(new Error("the channel was closed")));
  await channel.prefetch(count);
  const { consumerTag } = await channel.consume(queue, (message) => {
    if (message === null) reject(new Error("the channel was closed: the queue was deleted"));
    else judging = judging.then(() => look(message)).catch(reject);
  });
  try {
    return await promise;
  } finally {
    await judging;
    await channel.cancel(consumerTag);
    channel.nackAll(true);
    // The answer says that the nack was read: whoever looks next finds all of them.
    await channel.prefetch(1);
  }
}
