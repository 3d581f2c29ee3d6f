import type { Clock, DeliverySource, GroupCall, Lease, Logger } from "@mecha/component";
import type { Msg } from "@nats-io/transport-node";
import { nanos } from "@nats-io/transport-node";
import type { Connection } from "./connection.js";
import { toComponentError } from "./errors.js";
import type { FreeDeliveries } from "./free-deliveries.js";
import type { Group, Groups } from "./groups.js";
import { type Leases, verdicts } from "./leases.js";
import { readDelivery, readHeaders } from "./messages.js";
import { Pull, PullFailed, type PullTarget } from "./pulls.js";
import type { Settling } from "./settling.js";
import { Waiting } from "./waiting.js";

/** What a source needs of its pubsub. */
export interface SourceContext {
  readonly connection: Connection;
  readonly groups: Groups;
  readonly leases: Leases;
  readonly free: FreeDeliveries;
  readonly settling: Settling;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** How many events one request asks for at most. */
const maxBatch = 512;
/** How long a partition is given to bring an event where not all can be asked at once, in ms. */
const scanMs = 10;

/** One consumer of a group. */
export function createSource(call: GroupCall, context: SourceContext): DeliverySource {
  const { connection, groups, leases, free, settling, clock, logger } = context;
  const owner = {};
  let pulling: Promise<Pulling> | undefined;
  let isClosed: boolean = false;

  async function find(): Promise<Group> {
    const group = await groups.find(call);
    if (group === undefined) throw new Error(`group ${call.group} of topic ${call.topic} was not opened`);
    return group;
  }

  /** The group that this source takes from, or would; undefined once it is deleted. */
  async function own(): Promise<Group | undefined> {
    const group = (await pulling?.catch(() => undefined))?.group ?? (await groups.find(call));
    return group?.deleted.aborted === false ? group : undefined;
  }

  /** Hands back what reached nobody: whoever gets it next is told of one delivery less. */
  async function giveBack(group: Group, messages: readonly Msg[]): Promise<void> {
    const all = messages.map(async (message) => {
      const { deliveries, sequence } = readDelivery(message);
      const known = deliveries > 1 ? await free.count(group.names, sequence) : 0;
      await free.set(group.names, sequence, known + 1);
      connection.live?.nc.publish(message.reply ?? "", verdicts.nak);
    });
    // What cannot be given back comes again when JetStream's patience ends.
    await Promise.allSettled(all);
  }

  /** Makes leases of what was pulled. What is not for the app now is settled here. */
  async function admit(group: Group, messages: readonly Msg[], leaseMs: number): Promise<Lease[]> {
    const admitted = messages.map(async (message): Promise<Lease[]> => {
      const { deliveries, sequence, time } = readDelivery(message);
      const { orderingKey, delayMs, ttlMs, group: only } = readHeaders(message.headers);
      const ackSubject = message.reply ?? "";
      const say = (verdict: string) => connection.live?.nc.publish(ackSubject, verdict);
      const now = clock.now();
      if ((only !== "" && only !== call.group) || (ttlMs !== undefined && time + ttlMs <= now)) {
        say(verdicts.ack);
        return [];
      }
      const known = deliveries > 1 ? await free.count(group.names, sequence) : 0;
      const restMs = time + delayMs - now;
      if (restMs > 0) {
        await free.set(group.names, sequence, known + 1);
        say(`${verdicts.nak} ${JSON.stringify({ delay: nanos(restMs) })}`);
        return [];
      }
      const attempt = Math.max(1, deliveries - known);
      const payload = message.data;
      const held = { group, owner, ackSubject, sequence, payload, orderingKey, attempt, free: known };
      return [{ handle: leases.hold(held, leaseMs).handle, payload, attempt, orderingKey }];
    });
    const outcomes = await Promise.allSettled(admitted);
    const found = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? outcome.value : []));
    // One that could not be looked at comes again when JetStream's patience ends; the others must not be lost for it.
    const failed = outcomes.find((outcome) => outcome.status === "rejected");
    if (failed !== undefined && found.length === 0) throw failed.reason;
    return found;
  }

  async function open(): Promise<Pulling> {
    const group = await find();
    const { stream } = group.names.topic;
    const targets = group.consumers.map((consumer) => ({ stream, consumer }));
    const waiting = new Waiting(connection, (messages) => void giveBack(group, messages));
    return { group, targets, waiting, next: 0 };
  }

  /** Takes what there is now. */
  async function take(state: Pulling, limits: Limits): Promise<readonly Msg[]> {
    const { group, targets, waiting } = state;
    const arrived = waiting.take(limits.maxItems, limits.maxBytes);
    if (arrived.length > 0) return arrived;
    if (!group.ordered) {
      const [main, ...requeued] = targets;
      await waiting.ask(requeued);
      return main === undefined ? [] : takeOf(main, limits);
    }
    // With room for an event of each partition all can be asked to bring theirs. Otherwise some are asked in turn.
    if (limits.maxItems < targets.length || limits.signal.aborted) return scan(state, limits);
    await waiting.ask(targets);
    return [];
  }

  /** Takes what one consumer has; one event is always allowed. */
  async function takeOf(target: PullTarget, { maxItems, maxBytes }: Limits): Promise<readonly Msg[]> {
    const batch = Math.min(maxItems, maxBatch);
    const { messages, tooLarge } = await Pull.now(connection, target, batch, maxBytes);
    if (messages.length > 0 || !tooLarge) return messages;
    return (await Pull.now(connection, target, 1, undefined)).messages;
  }

  /**
   * Takes one event of some partitions, until some came or all were asked. JetStream does not say that a partition has nothing to give while
   * its event is with somebody, so each is given a moment.
   */
  async function scan(state: Pulling, { maxItems }: Limits): Promise<readonly Msg[]> {
    const { targets } = state;
    for (let asked = 0; asked < targets.length; ) {
      const count = Math.min(maxItems, targets.length - asked);
      const some = Array.from({ length: count }, (_, index) => targets[(state.next + index) % targets.length]);
      state.next = (state.next + count) % targets.length;
      asked += count;
      const pulls = await Promise.allSettled(
        some.map((target) => (target === undefined ? [] : Pull.soon(connection, target, scanMs))),
      );
      const messages = pulls.flatMap((pull) => (pull.status === "fulfilled" ? pull.value : []));
      if (messages.length > 0) return messages;
      const failed = pulls.find((pull) => pull.status === "rejected");
      if (failed !== undefined) throw failed.reason;
    }
    return [];
  }

  /** Resolves with leases, or with none when it is time to look again. */
  async function receiveOnce(state: Pulling, limits: Limits, leaseMs: number): Promise<readonly Lease[] | undefined> {
    const { group, targets, waiting } = state;
    let messages = await take(state, limits);
    if (messages.length === 0 && limits.signal.aborted) {
      // A request that waits may have been given the event, which is then on its way.
      await connection.flush();
      messages = waiting.take(limits.maxItems, limits.maxBytes);
    }
    const found = await admit(group, messages, leaseMs);
    if (found.length > 0) return found;
    if (messages.length > 0) return undefined;
    if (limits.signal.aborted || isClosed) return [];
    await waiting.ask(targets);
    await waiting.next(AbortSignal.any([limits.signal, group.deleted]));
    return undefined;
  }

  return {
    async receive({ leaseMs, ...limits }) {
      for (;;) {
        pulling ??= open();
        const opening = pulling;
        let state: Pulling | undefined;
        try {
          state = await opening;
          const { group } = state;
          if (group.deleted.aborted) {
            // It gets nothing more.
            await whenAborted(limits.signal);
            return [];
          }
          const found = await receiveOnce(state, limits, leaseMs);
          if (found === undefined) continue;
          if (!isClosed || found.length === 0) return found;
          await settling.settle(
            group,
            found.map(({ handle }) => ({ type: "release", handle })),
          );
          return [];
        } catch (error) {
          if (state?.group.deleted.aborted) continue;
          if (pulling === opening) pulling = undefined;
          state?.waiting.close();
          if (limits.signal.aborted) return [];
          if (!(error instanceof PullFailed) || state === undefined) throw toComponentError(error);
          logger.warn("a consumer does not answer; looking for it anew", { error: error.message });
          groups.forget(state.group);
        }
      }
    },

    async settle(settlements) {
      const group = await own();
      return group === undefined ? settlements.map(() => false) : settling.settle(group, settlements);
    },

    async extend(handles, leaseMs) {
      const group = await own();
      return group === undefined ? handles.map(() => false) : settling.extend(group, handles, leaseMs);
    },

    async close() {
      isClosed = true;
      const state = await pulling?.catch(() => undefined);
      state?.waiting.close();
      const held = [...leases.of(owner)].map(({ handle }) => ({ type: "release", handle }) as const);
      const group = held.length > 0 ? await own() : undefined;
      if (group !== undefined) await settling.settle(group, held);
    },
  };
}

interface Limits {
  readonly maxItems: number;
  readonly maxBytes: number;
  readonly signal: AbortSignal;
}

function whenAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** A source that has found its group. */
interface Pulling {
  readonly group: Group;
  readonly targets: readonly PullTarget[];
  readonly waiting: Waiting;
  /** The partition that is asked first next time. */
  next: number;
}
