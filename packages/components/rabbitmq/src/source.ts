import type { DeliverySource, GroupCall, Lease, Settlement } from "@mecha/component";
import type { Channel, Message } from "amqplib";
import type { Connection } from "./connection.js";
import type { DeadLetters } from "./dead-letters.js";
import { isNotFound, toComponentError } from "./errors.js";
import { Flow } from "./flow.js";
import type { Groups } from "./groups.js";
import type { Held, Holder, Leases } from "./leases.js";
import { readMessage, toProperties } from "./messages.js";
import type { GroupQueues } from "./names.js";
import type { Topology } from "./topology.js";

/** What a source needs of its pubsub. */
export interface SourceContext {
  readonly connection: Connection;
  readonly topology: Topology;
  readonly groups: Groups;
  readonly leases: Leases;
  readonly dead: DeadLetters;
}

/** A source that takes events: as long as its channel lasts. */
interface Taking {
  readonly queues: GroupQueues;
  readonly channel: Channel;
  readonly flow: Flow;
  readonly holder: Holder;
}

/** A source, and what the broker counts as taken while nobody has taken it. */
export interface CountedSource extends DeliverySource {
  arrivedOf(queue: string): number;
}

const settlementUnknown = "it may have been settled";

/** One consumer of a group, on a channel of its own. */
export function createSource(call: GroupCall, context: SourceContext): CountedSource {
  const { connection, topology, groups, leases, dead } = context;
  let taking: Taking | undefined;
  let opening: Promise<Taking> | undefined;
  let isClosed: boolean = false;
  let isDeleted: boolean = false;

  async function open(): Promise<Taking> {
    const queues = taking?.queues ?? (await groups.queuesOf(call));
    if (queues === undefined) throw new Error(`group ${call.group} of topic ${call.topic} was not opened`);
    const channel = await connection.channel();
    const giveBack = (messages: readonly Message[]) => putBack(channel, queues, messages);
    const flow: Flow = new Flow({ channel, queue: queues.events, giveBack });
    const holder: Holder = {
      queue: queues.events,
      requeue(message) {
        flow.settled(message);
        quietly(() => channel.nack(message));
      },
    };
    channel.on("close", () => leases.forget(holder));
    taking = { queues, channel, flow, holder };
    return taking;
  }

  /** Puts events that reached nobody back as they were: what is handed back to the broker would count as an attempt. */
  async function putBack(channel: Channel, queues: GroupQueues, messages: readonly Message[]): Promise<void> {
    for (const message of messages) {
      const { payload, attempt, orderingKey } = readMessage(message);
      try {
        await put(queues.events, payload, { orderingKey, attempts: attempt - 1 });
        quietly(() => channel.ack(message));
      } catch {
        // Then it goes back as RabbitMQ does it, and counts as an attempt.
        quietly(() => channel.nack(message));
      }
    }
  }

  /** Puts a copy of an event in one of the group's queues; whether that was there. */
  async function put(
    queue: string,
    content: Uint8Array,
    headers: { orderingKey: string; attempts: number },
    expirationMs?: number,
  ): Promise<boolean> {
    const expiration = expirationMs === undefined ? {} : { expiration: String(Math.ceil(expirationMs)) };
    const options = { ...toProperties(headers), ...expiration };
    return connection.publish({ exchange: "", routingKey: queue, content, options });
  }

  /** Stores what must be stored before the event goes; false if its group is gone. */
  async function move(
    { queues }: Taking,
    settlement: Exclude<Settlement, { type: "ack" }>,
    { message: { content }, orderingKey, attempt }: Held,
  ): Promise<boolean> {
    switch (settlement.type) {
      case "retry":
        return topology.whileWaiting(queues, settlement.afterMs, (queue) =>
          put(queue, content, { orderingKey, attempts: attempt }, settlement.afterMs),
        );
      case "release":
        return put(queues.events, content, { orderingKey, attempts: attempt - 1 });
      case "dead":
        return dead.bury(queues, { content, orderingKey, attempts: attempt, error: settlement.error });
    }
  }

  async function settleOne(now: Taking, settlement: Settlement, held: Held): Promise<boolean> {
    const { message, holder } = held;
    if (settlement.type === "retry" && settlement.afterMs <= 0) {
      holder.requeue(message);
      return true;
    }
    try {
      const isThere = settlement.type === "ack" || (await move(now, settlement, held));
      now.flow.settled(message);
      return quietly(() => now.channel.ack(message)) && isThere;
    } catch (error) {
      // Its lease is over, so nobody else gives it back.
      holder.requeue(message);
      throw error;
    }
  }

  async function settle(settlements: readonly Settlement[]): Promise<boolean[]> {
    const now = taking;
    if (now === undefined || isDeleted) return settlements.map(() => false);
    try {
      const outcomes = await Promise.all(
        settlements.map((settlement) => {
          const held = leases.take(settlement.handle, now.queues.events);
          return held !== undefined && settleOne(now, settlement, held);
        }),
      );
      // Acks have no answer; what is answered after them says that they were read, and by a queue that is there.
      if (outcomes.includes(true)) await now.channel.checkQueue(now.queues.events);
      return outcomes;
    } catch (error) {
      if (isNotFound(error)) {
        isDeleted = true;
        return settlements.map(() => false);
      }
      throw toComponentError(error, settlementUnknown);
    }
  }

  return {
    arrivedOf: (queue) => (taking?.queues.events === queue ? taking.flow.arrived : 0),

    async receive({ maxItems, maxBytes, leaseMs, signal }) {
      for (;;) {
        if (isDeleted) {
          // It gets nothing more.
          await whenAborted(signal);
          return [];
        }
        try {
          if (taking === undefined || taking.flow.ended) opening ??= open();
          const { queues, flow, holder } = (await opening) ?? (taking as Taking);
          opening = undefined;
          const messages = await flow.take(maxItems, maxBytes, signal);
          if (messages.length === 0) {
            if (signal.aborted || isClosed) return [];
            isDeleted = (await topology.count(queues.events)) === undefined;
            continue;
          }
          const held = messages.map((message): Lease => {
            const { payload, attempt, orderingKey } = readMessage(message);
            const { handle } = leases.hold({ holder, message, orderingKey, attempt }, leaseMs);
            return { handle, payload, attempt, orderingKey };
          });
          if (!isClosed) return held;
          await settle(held.map(({ handle }) => ({ type: "release", handle })));
          return [];
        } catch (error) {
          opening = undefined;
          if (signal.aborted) return [];
          throw toComponentError(error);
        }
      }
    },

    settle,
    extend(handles, leaseMs) {
      const queue = taking?.queues.events ?? "";
      return handles.map((handle) => !isDeleted && leases.extend(handle, queue, leaseMs));
    },

    async close() {
      isClosed = true;
      if (taking === undefined) return;
      const { channel, flow, holder } = taking;
      await flow.stop();
      const held = leases.of(holder).map(({ handle }) => ({ type: "release", handle }) as const);
      if (held.length > 0) await settle(held);
      await channel.close().catch(() => {}); // It may be lost.
    },
  };
}

/** Says something on a channel that may be lost: then the broker has all back. Whether it was said. */
function quietly(say: () => void): boolean {
  try {
    say();
    return true;
  } catch {
    return false;
  }
}

function whenAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
