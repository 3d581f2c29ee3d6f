import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import type { Component } from "../../component.js";
import type { DeliverySource, Lease, Settlement } from "../../delivery/interface.js";
import type { CaseOf } from "../../suite/cases.js";
import type { PubSubFeature } from "../features.js";
import type { GroupSettings, PublishOutcome, PubSub, PubSubEntry } from "../interface.js";
import type { PubSubHarness } from "./harness.js";

/** A case of the pubsub suite. */
export type CaseDefinition = CaseOf<PubSubFeature, PubSubHarness, PubSubKit>;

/** The settings of a group that asks for nothing special. */
export const plainGroup: GroupSettings = {
  filter: "",
  ordered: false,
  start: { type: "new" },
  maxAttempts: 10,
  minBackoffMs: 1_000,
  maxBackoffMs: 300_000,
  ackTimeoutMs: 30_000,
};

/** How long the suite waits for what must come, and for what must not, in ms. */
const mustComeMs = 10_000;
const mustNotComeMs = 150;

let counter = 0;
const run = `${Date.now().toString(36)}${Math.floor(Math.random() * 36 ** 6).toString(36)}`;

/** The part of an entry that most cases leave out. */
export type EntryOptions = Partial<Omit<PubSubEntry, "payload">>;

/** What one case works with. Everything that it opened is closed at its end. */
export class PubSubKit implements AsyncDisposable {
  readonly keyspace = `conformance.${run}.${++counter}`;
  readonly #components = new Set<Component>();
  readonly #consumers = new Set<Consumer>();

  constructor(readonly harness: PubSubHarness) {}

  /** A lease that is worth waiting for, in ms. */
  get leaseMs(): number {
    return this.harness.advance === undefined ? 1_000 : 30_000;
  }

  async component(): Promise<Component> {
    const component = await this.harness.open();
    this.#components.add(component);
    return component;
  }

  /** Opens the component and gives the case's part of its pubsub. */
  async open(): Promise<Session> {
    return this.session(await this.component());
  }

  session(component: Component, keyspace: string = this.keyspace): Session {
    const { pubsub } = component.blocks;
    assert(pubsub !== undefined, "the component serves no pubsub block");
    return new Session(this, pubsub, keyspace);
  }

  /** Two pubsubs over the same storage, as in two processes; the same one twice where components share nothing. */
  async pair(): Promise<[Session, Session]> {
    const first = await this.open();
    return [first, this.harness.shared ? await this.open() : first];
  }

  /** Closes a component before the case ends. */
  async close(component: Component): Promise<void> {
    this.#components.delete(component);
    for (const consumer of this.#consumers) if (consumer.component === component) await this.release(consumer);
    await component.close();
  }

  /** Lets `ms` pass. */
  async elapse(ms: number): Promise<void> {
    if (this.harness.advance === undefined) await delay(ms);
    else await this.harness.advance(ms);
  }

  track(consumer: Consumer): Consumer {
    this.#consumers.add(consumer);
    return consumer;
  }

  async release(consumer: Consumer): Promise<void> {
    if (this.#consumers.delete(consumer)) await consumer.source.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const consumer of this.#consumers) await this.release(consumer);
    await Promise.all([...this.#components].map((component) => component.close()));
  }
}

/** One keyspace of a pubsub, in few words. */
export class Session {
  constructor(
    readonly kit: PubSubKit,
    readonly pubsub: PubSub,
    readonly keyspace: string,
  ) {}

  /** Publishes one event, whose payload is `text`; fails the case if it is refused. */
  async publish(topic: string, text: string, options: EntryOptions = {}): Promise<{ duplicate: boolean }> {
    const [outcome] = await this.publishMany([entry(topic, text, options)]);
    assert(outcome !== undefined, "an outcome per entry");
    if (outcome.type === "failed") throw outcome.error;
    return outcome;
  }

  async publishMany(entries: readonly PubSubEntry[]): Promise<readonly PublishOutcome[]> {
    const outcomes = await this.pubsub.publish({ keyspace: this.keyspace, entries });
    assert.equal(outcomes.length, entries.length, "an outcome per entry");
    return outcomes;
  }

  /** Opens a group and consumes for it. */
  async consume(topic: string, group: string, settings: Partial<GroupSettings> = {}): Promise<Consumer> {
    await this.openGroup(topic, group, { ...plainGroup, ...settings });
    const call = { keyspace: this.keyspace, topic, group };
    return this.kit.track(new Consumer(this.kit, this.pubsub.consume(call)));
  }

  async openGroup(
    topic: string,
    group: string,
    settings: GroupSettings | undefined = plainGroup,
    update = false,
  ): Promise<GroupSettings> {
    return this.pubsub.openGroup({ keyspace: this.keyspace, topic, group, settings, defaults: plainGroup, update });
  }

  async deleteGroup(topic: string, group: string): Promise<boolean> {
    return this.pubsub.deleteGroup({ keyspace: this.keyspace, topic, group });
  }

  async backlog(topic: string, group: string): Promise<number> {
    return this.pubsub.backlog({ keyspace: this.keyspace, topic, group });
  }

  /** Requires that a group's backlog is `count`, or soon will be: a broker may report it late. */
  async expectBacklog(count: number, topic: string, group: string, why: string): Promise<void> {
    let found = await this.backlog(topic, group);
    for (const deadline = performance.now() + mustComeMs; found !== count && performance.now() < deadline; ) {
      await delay(20);
      found = await this.backlog(topic, group);
    }
    assert.equal(found, count, why);
  }

  async deadLetters(topic: string, group: string, options: { after?: string; limit?: number; maxBytes?: number } = {}) {
    return this.pubsub.listDeadLetters({
      keyspace: this.keyspace,
      topic,
      group,
      after: options.after,
      limit: options.limit ?? 100,
      maxBytes: options.maxBytes ?? 1024 * 1024,
    });
  }

  async requeue(topic: string, group: string, ids?: readonly string[]): Promise<number> {
    return this.pubsub.requeueDeadLetters({ keyspace: this.keyspace, topic, group, ids });
  }

  async drop(topic: string, group: string, ids?: readonly string[]): Promise<number> {
    return this.pubsub.dropDeadLetters({ keyspace: this.keyspace, topic, group, ids });
  }
}

let events = 0;

/** An entry to publish; every one has an id of its own unless it is given one. */
export function entry(topic: string, text: string, options: EntryOptions = {}): PubSubEntry {
  return {
    topic,
    source: "conformance",
    id: `${run}-${++events}`,
    payload: new TextEncoder().encode(text),
    orderingKey: "",
    delayMs: 0,
    ttlMs: undefined,
    metadata: {},
    ...options,
  };
}

export const text = ({ payload }: { readonly payload: Uint8Array }) => new TextDecoder().decode(payload);

/** Texts in one order, to compare what comes in any. */
export const sorted = (texts: readonly string[]) => texts.toSorted((a, b) => (a < b ? -1 : 1));

/** One consumer of a group. */
export class Consumer {
  /** Set where a case closes the consumer's component before its end. */
  component: Component | undefined;

  constructor(
    readonly kit: PubSubKit,
    readonly source: DeliverySource,
  ) {}

  /** Takes up to `maxItems` events within `withinMs`; the array is empty if none came. */
  async take(maxItems = 100, withinMs = mustComeMs, maxBytes = 64 * 1024 * 1024): Promise<readonly Lease[]> {
    const signal = AbortSignal.timeout(withinMs);
    const leases = await this.source.receive({ maxItems, maxBytes, leaseMs: this.kit.leaseMs, signal });
    assert(leases.length <= maxItems, `${leases.length} events where ${maxItems} were asked for`);
    return leases;
  }

  /** Takes one event, which must come. */
  async one(): Promise<Lease> {
    const [lease] = await this.take(1);
    assert(lease !== undefined, `no event within ${mustComeMs} ms`);
    return lease;
  }

  /** Takes exactly `count` events, which must come, leaving them unsettled. */
  async many(count: number): Promise<Lease[]> {
    const leases: Lease[] = [];
    while (leases.length < count) {
      const taken = await this.take(count - leases.length);
      assert(taken.length > 0, `${leases.length} of ${count} events came within ${mustComeMs} ms`);
      leases.push(...taken);
    }
    return leases;
  }

  /** Requires that there is nothing to take now. */
  async nothing(why: string): Promise<void> {
    const leases = await this.take(1, mustNotComeMs);
    assert.deepEqual(leases.map(text), [], why);
  }

  async settle(...settlements: Settlement[]): Promise<readonly boolean[]> {
    return this.source.settle(settlements);
  }

  /** Acks leases, each of which must count. */
  async ack(...leases: readonly Lease[]): Promise<void> {
    const outcomes = await this.source.settle(leases.map(({ handle }) => ({ type: "ack", handle })));
    assert.deepEqual(
      outcomes,
      leases.map(() => true),
      "every ack in time counts",
    );
  }

  async extend(handle: string, leaseMs: number): Promise<boolean> {
    const [extended] = await this.source.extend([handle], leaseMs);
    assert(extended !== undefined, "an outcome per handle");
    return extended;
  }
}
