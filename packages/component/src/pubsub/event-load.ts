import { setTimeout as delay } from "node:timers/promises";
import type { DeliverySource } from "../delivery/interface.js";
import { ComponentError } from "../errors.js";
import type { GroupCall, GroupSettings, PubSub } from "./interface.js";

/** Options of {@link startEventLoad}. */
export interface EventLoadOptions {
  /** Each publishes and consumes; several are what several processes are. */
  readonly pubsubs: readonly PubSub[];
  /** The group, which was opened. */
  readonly call: GroupCall;
  /** Ordering keys; each has a publisher, which goes on once its last event was acknowledged. */
  readonly keys: readonly string[];
  readonly leaseMs: number;
}

/** What became of the events of a load. */
export interface EventLoadResult {
  readonly published: number;
  /** Acknowledged to a publisher and never delivered. */
  readonly lost: readonly string[];
  /** Delivered for the first time after a later one of their key. */
  readonly reordered: readonly string[];
  readonly duplicated: number;
  /** How calls failed, and how often. */
  readonly failures: Readonly<Record<string, number>>;
}

/** Numbered events that are published and consumed while a test breaks something. */
export interface EventLoad {
  /** How many different events were delivered so far. */
  readonly delivered: number;
  /** Rejects when something failed in a way that no outage explains. */
  readonly broken: Promise<never>;
  /** Publishes no more, waits at most `withinMs` until all is delivered, and tells. */
  finish(withinMs: number): Promise<EventLoadResult>;
}

/** The settings of a group that asks for nothing special. */
export const plainSettings: GroupSettings = {
  filter: "",
  ordered: false,
  start: { type: "new" },
  maxAttempts: 1_000,
  minBackoffMs: 1_000,
  maxBackoffMs: 300_000,
  ackTimeoutMs: 30_000,
};

const pauseMs = 5;
/** How far publishers may be ahead of consumers, in events: what is waiting at the end must come in time. */
const maxAhead = 500;

export function startEventLoad({ pubsubs, call, keys, leaseMs }: EventLoadOptions): EventLoad {
  const run = Math.random().toString(36).slice(2);
  const failures: Record<string, number> = {};
  const seen = new Map<string, Set<number>>(keys.map((key) => [key, new Set()]));
  const reordered: string[] = [];
  const publishing = new AbortController();
  const consuming = new AbortController();
  const broken = Promise.withResolvers<never>();
  broken.promise.catch(() => {});
  let acknowledged = 0;
  let delivered = 0;
  let duplicated = 0;

  /** Whether a call does what it should. An outage is an answer too; anything else breaks the load. */
  const succeeds = async (what: string, act: () => Promise<unknown>): Promise<boolean> => {
    try {
      await act();
      return true;
    } catch (error) {
      if (!(error instanceof ComponentError)) throw error;
      const name = `${what} ${error.reason}`;
      failures[name] = (failures[name] ?? 0) + 1;
      await delay(pauseMs);
      return false;
    }
  };

  const publishAll = async (key: string, pubsub: PubSub): Promise<number> => {
    let number = 0;
    for (; !publishing.signal.aborted; number++) {
      while (acknowledged - delivered > maxAhead && !publishing.signal.aborted) await delay(pauseMs);
      const name = `${key}:${number}`;
      const entry = {
        topic: call.topic,
        source: run,
        id: name,
        orderingKey: key,
        delayMs: 0,
        ttlMs: undefined,
        metadata: {},
      };
      const publish = async () => {
        const entries = [{ ...entry, payload: new TextEncoder().encode(name) }];
        const [outcome] = await pubsub.publish({ keyspace: call.keyspace, entries });
        if (outcome?.type === "failed") throw outcome.error;
      };
      while (!(await succeeds("publish", publish)));
      acknowledged += 1;
    }
    return number;
  };

  const note = (name: string) => {
    const [key = "", text] = name.split(":");
    const number = Number(text);
    const numbers = seen.get(key) ?? new Set();
    if (numbers.has(number)) {
      duplicated += 1;
      return;
    }
    // In order they come without a gap: then the next number is how many came before.
    if (number !== numbers.size) reordered.push(name);
    numbers.add(number);
    delivered += 1;
  };

  const consumeAll = async (source: DeliverySource) => {
    const limits = { maxItems: 20, maxBytes: 1024 * 1024, leaseMs, signal: consuming.signal };
    while (!consuming.signal.aborted) {
      await succeeds("receive", async () => {
        const leases = await source.receive(limits);
        for (const { payload } of leases) note(new TextDecoder().decode(payload));
        if (leases.length === 0) return;
        await succeeds("settle", async () => source.settle(leases.map(({ handle }) => ({ type: "ack", handle }))));
      });
    }
    await succeeds("close", () => source.close());
  };

  const at = (index: number) => pubsubs[index % pubsubs.length] as PubSub;
  const publishers = Promise.all(keys.map((key, index) => publishAll(key, at(index))));
  const consumers = Promise.all(pubsubs.map((pubsub) => consumeAll(pubsub.consume(call))));
  publishers.catch(broken.reject);
  consumers.catch(broken.reject);

  return {
    get delivered() {
      return delivered;
    },
    broken: broken.promise,
    async finish(withinMs) {
      publishing.abort();
      const counts = await publishers;
      const published = counts.reduce((sum, count) => sum + count, 0);
      for (const deadline = performance.now() + withinMs; delivered < published && performance.now() < deadline; ) {
        await delay(pauseMs);
      }
      consuming.abort();
      await consumers;
      const lost = keys.flatMap((key, index) =>
        Array.from({ length: counts[index] ?? 0 }, (_, number) => number)
          .filter((number) => seen.get(key)?.has(number) !== true)
          .map((number) => `${key}:${number}`),
      );
      return { published, lost, reordered, duplicated, failures };
    },
  };
}
