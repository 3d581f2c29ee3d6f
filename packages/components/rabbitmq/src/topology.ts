import type { GroupCall } from "@mecha/component";
import type { Channel, Options } from "amqplib";
import type { Connection, Live } from "./connection.js";
import { isInUse, isLocked, isNotFound, toComponentError, unavailable } from "./errors.js";
import type { GroupNames, GroupQueues, Names } from "./names.js";

/** How long a queue of waiting events outlives its last use, beyond their time, in ms. */
const waitQueueIdleMs = 24 * 60 * 60 * 1000;
const shortestWaitMs = 100;
/** What RabbitMQ takes as an `x-expires`. */
const maxExpiresMs = 2 ** 32 - 1;
const longestWaitMs = 30 * 24 * 60 * 60 * 1000;
/** How many queues are remembered to be there. */
const maxRemembered = 10_000;
/**
 * How long events may wait in a queue of its own: RabbitMQ looks at the head of a queue only, so what waits much longer than others must not
 * stand before them. Each level takes what waits up to so long, and holds nothing up by more than half of its time.
 */
const waitLevelsMs = [...levels()];

function* levels(): Generator<number> {
  for (let ms = shortestWaitMs; ms < longestWaitMs; ms = Math.ceil(ms * 1.5)) yield ms;
  yield longestWaitMs;
}

const lockRetryMs = 20;
const lockTimeoutMs = 10_000;

/** Declares and deletes what there is in RabbitMQ. */
export class Topology {
  readonly #connection: Connection;
  readonly #names: Names;
  readonly #locks = new Map<string, Promise<unknown>>();
  /** Until when it is known that a queue of waiting events is there, in ms of `performance.now()`. */
  readonly #waiting = new Map<string, number>();
  #declared: { readonly live: Live; readonly done: Map<string, Promise<void>> } | undefined;

  constructor(connection: Connection, names: Names) {
    this.#connection = connection;
    this.#names = names;
  }

  /** Where a keyspace's events are published. */
  exchange(keyspace: string): Promise<void> {
    const name = this.#names.exchange(keyspace);
    return this.#once(`exchange ${name}`, async () => {
      await this.#connection.use((channel) => channel.assertExchange(name, "direct", { durable: true }));
    });
  }

  /** The queue of a group's settings. */
  async settings({ settings }: GroupNames): Promise<void> {
    const quorum = await this.#quorum();
    await this.#connection.use((channel) =>
      channel.assertQueue(settings, { ...quorum, maxLength: 1, overflow: "drop-head" }),
    );
  }

  /** The queues of a group, bound to its topic. */
  async group({ keyspace, topic }: GroupCall, { events, dead }: GroupQueues): Promise<void> {
    await this.exchange(keyspace);
    await this.#once(`group ${events}`, async () => {
      const quorum = await this.#quorum();
      await this.#connection.use(async (channel) => {
        const marker = this.#names.marker(keyspace, topic);
        await channel.assertQueue(events, quorum);
        await channel.assertQueue(dead, quorum);
        await channel.bindQueue(events, this.#names.exchange(keyspace), topic);
        // Last: as long as it is not there nobody minds that events find no queue.
        await channel.assertExchange(marker, "fanout", { durable: true });
        await channel.bindQueue(events, marker, "");
      });
    });
  }

  /** Deletes all that is a group's own. */
  async deleteGroup({ keyspace, topic }: GroupCall, { settings }: GroupNames, queues: GroupQueues): Promise<void> {
    await this.#connection.use(async (channel) => {
      const waiting = waitLevelsMs.map((level) => queues.waiting(level));
      // The settings last: until then it can be deleted again.
      for (const queue of [queues.events, queues.dead, ...waiting, settings]) await channel.deleteQueue(queue);
    });
    const channel = await this.#connection.channel();
    try {
      await channel.deleteExchange(this.#names.marker(keyspace, topic), { ifUnused: true });
    } catch (error) {
      // Another group of the topic is bound to it, or deleted it just now.
      if (!isInUse(error) && !isNotFound(error)) throw toComponentError(error);
    } finally {
      await channel.close().catch(() => {});
    }
  }

  /** Whether a topic has groups. */
  async hasGroups(keyspace: string, topic: string): Promise<boolean> {
    return (await this.#look((channel) => channel.checkExchange(this.#names.marker(keyspace, topic)))) !== undefined;
  }

  /** How many messages a queue has ready; undefined if there is no such queue. */
  async count(queue: string): Promise<number | undefined> {
    return (await this.#look((channel) => channel.checkQueue(queue)))?.messageCount;
  }

  /** How many events of a group wait to be tried again. */
  async countWaiting(queues: GroupQueues): Promise<number> {
    const counts = await Promise.all(waitLevelsMs.map((level) => this.count(queues.waiting(level))));
    return counts.reduce<number>((sum, count) => sum + (count ?? 0), 0);
  }

  /**
   * Puts something in the queue for what is to wait `afterMs`: RabbitMQ puts it into the group's queue then.
   *
   * @param put whether the queue was there
   */
  async whileWaiting(queues: GroupQueues, afterMs: number, put: (queue: string) => Promise<boolean>): Promise<boolean> {
    const level = waitLevelsMs.find((ms) => ms >= afterMs) ?? longestWaitMs;
    const queue = queues.waiting(level);
    if ((this.#waiting.get(queue) ?? 0) > performance.now() && (await put(queue))) return true;
    if (this.#waiting.size > maxRemembered) this.#waiting.clear();
    await this.#declareWaiting(queue, queues, level);
    this.#waiting.set(queue, performance.now() + waitQueueIdleMs / 2);
    return put(queue);
  }

  async #declareWaiting(queue: string, { events }: GroupQueues, levelMs: number): Promise<void> {
    const quorum = await this.#quorum();
    await this.#connection.use((channel) =>
      channel.assertQueue(queue, {
        ...quorum,
        arguments: { ...quorum.arguments, "x-dead-letter-strategy": "at-least-once" },
        deadLetterExchange: "",
        deadLetterRoutingKey: events,
        overflow: "reject-publish",
        expires: Math.min(levelMs + waitQueueIdleMs, maxExpiresMs),
      }),
    );
  }

  /** Does something that one runtime at a time may do. */
  async locked<T>({ lock }: GroupNames, act: () => Promise<T>): Promise<T> {
    const before = this.#locks.get(lock) ?? Promise.resolve();
    // Within this process by turns: the broker gives an exclusive queue to a connection, not to a caller.
    const turn = before.then(() => this.#lockedByBroker(lock, act));
    const over = turn.catch(() => {});
    this.#locks.set(lock, over);
    try {
      return await turn;
    } finally {
      if (this.#locks.get(lock) === over) this.#locks.delete(lock);
    }
  }

  async #lockedByBroker<T>(lock: string, act: () => Promise<T>): Promise<T> {
    const deadline = performance.now() + lockTimeoutMs;
    for (;;) {
      const channel = await this.#connection.channel();
      try {
        await channel.assertQueue(lock, { exclusive: true, durable: false });
      } catch (error) {
        if (!isLocked(error)) throw toComponentError(error);
        if (performance.now() > deadline) throw unavailable("another runtime holds this group's lock; try again");
        await new Promise((resolve) => setTimeout(resolve, lockRetryMs));
        continue;
      }
      try {
        return await act();
      } finally {
        // If it cannot be deleted its connection has gone, and the queue with it.
        await channel.deleteQueue(lock).catch(() => {});
        await channel.close().catch(() => {});
      }
    }
  }

  /** Asks for something that may not be there; the broker closes the channel then. */
  async #look<T>(ask: (channel: Channel) => Promise<T>): Promise<T | undefined> {
    const channel = await this.#connection.channel();
    try {
      return await ask(channel);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw toComponentError(error);
    } finally {
      await channel.close().catch(() => {});
    }
  }

  async #quorum(): Promise<Options.AssertQueue & { arguments: Record<string, unknown> }> {
    const { model } = await this.#connection.ready();
    const major = Number.parseInt(String(model.connection.serverProperties.version), 10);
    // Since version 4 a quorum queue drops what was returned 20 times; how often is for the group to say.
    const unlimited = major >= 4 ? { "x-delivery-limit": -1 } : {};
    return { durable: true, arguments: { "x-queue-type": "quorum", ...unlimited } };
  }

  /** What was declared on this connection is there, unless somebody deleted it. */
  #once(name: string, declare: () => Promise<void>): Promise<void> {
    return this.#connection.ready().then((live) => {
      if (this.#declared?.live !== live) this.#declared = { live, done: new Map() };
      const { done } = this.#declared;
      let declaring = done.get(name);
      if (declaring === undefined) {
        declaring = declare();
        done.set(name, declaring);
        declaring.catch(() => done.delete(name));
      }
      return declaring;
    });
  }
}
