import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import type { Component } from "../../component.js";
import type { CaseOf } from "../../suite/cases.js";
import type { DiscoveryFeature } from "../features.js";
import type { Discovery, Instance } from "../interface.js";
import type { DiscoveryHarness } from "./harness.js";

/** A case of the discovery suite. */
export type CaseDefinition = CaseOf<DiscoveryFeature, DiscoveryHarness, DiscoveryKit>;

/** How long the suite waits for what must come, in ms. */
const mustComeMs = 15_000;

let counter = 0;
const run = `${Date.now().toString(36)}${Math.floor(Math.random() * 36 ** 6).toString(36)}`;

/** What one case works with: a namespace of its own. Everything that it opened is closed at its end. */
export class DiscoveryKit implements AsyncDisposable {
  readonly namespace = `c-${run}-${++counter}`;
  readonly #components: Component[] = [];
  readonly #gone = new AbortController();

  constructor(readonly harness: DiscoveryHarness) {}

  /** A lease that the suite can wait for, in ms. */
  get ttlMs(): number {
    return this.harness.advance === undefined ? 2_000 : 30_000;
  }

  /** A lease that does not end while a case runs, however busy the machine is, in ms: for cases that are about something else. */
  get lastingMs(): number {
    return this.ttlMs * 40;
  }

  /** Opens the component. */
  async open(): Promise<Session> {
    const component = await this.harness.open();
    this.#components.push(component);
    const { discovery } = component.blocks;
    assert(discovery !== undefined, "the component serves no discovery block");
    return new Session(this, discovery, this.#gone.signal);
  }

  /** Lets `ms` pass. */
  async elapse(ms: number): Promise<void> {
    if (this.harness.advance === undefined) await delay(ms);
    else await this.harness.advance(ms);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#gone.abort();
    await Promise.all(this.#components.map((component) => component.close()));
  }
}

/** An instance of an app; what is not given is plain. */
export function instance(id: string, app: string, changed: Partial<Instance> = {}): Instance {
  return { id, app, address: "10.0.0.1:3601", version: "", zone: "", weight: 100, ...changed };
}

/** The addresses of instances, sorted; undefined for an app that is not known. */
export const addressesOf = (found: readonly Instance[] | undefined) => found?.map(({ address }) => address).toSorted();
const idsOf = (found: readonly Instance[] | undefined) => found?.map(({ id }) => id);

/** Requires what `check` asserts, soon; what else it throws is thrown at once. */
export async function eventually(check: () => void): Promise<void> {
  for (const deadline = performance.now() + mustComeMs; ; await delay(5)) {
    try {
      return check();
    } catch (error) {
      if (!(error instanceof assert.AssertionError) || performance.now() > deadline) throw error;
    }
  }
}

/** One open component, in few words. */
export class Session {
  constructor(
    readonly kit: DiscoveryKit,
    readonly discovery: Discovery,
    readonly gone: AbortSignal,
  ) {}

  async resolve(app: string, namespace = this.kit.namespace): Promise<readonly Instance[] | undefined> {
    return this.discovery.resolve({ namespace, app, signal: this.gone });
  }

  async list(namespace = this.kit.namespace): Promise<readonly string[]> {
    assert(this.discovery.list !== undefined, "LIST means that there is `list`");
    return this.discovery.list({ namespace, signal: this.gone });
  }

  get leases() {
    const { leases } = this.discovery;
    assert(leases !== undefined, "REGISTER means that there are `leases`");
    return leases;
  }

  async register(own: Instance, ttlMs = this.kit.ttlMs, namespace = this.kit.namespace): Promise<void> {
    await this.leases.register({ namespace, instance: own, ttlMs });
  }

  async renew(
    app: string,
    id: string,
    ttlMs = this.kit.ttlMs,
    namespace: string = this.kit.namespace,
  ): Promise<boolean> {
    return this.leases.renew({ namespace, app, id, ttlMs });
  }

  async deregister(app: string, id: string, namespace = this.kit.namespace): Promise<void> {
    await this.leases.deregister({ namespace, app, id });
  }

  /** Requires that an app's instances are these, by id. */
  async expectIds(ids: readonly string[] | undefined, app: string, why: string): Promise<void> {
    assert.deepEqual(idsOf(await this.resolve(app)), ids, why);
  }

  watch(app: string, namespace = this.kit.namespace): Watcher {
    return new Watcher(this.discovery, namespace, app, this.gone);
  }
}

/** A watch, read to its last state. */
export class Watcher {
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;
  #states: (readonly Instance[] | undefined)[] = [];
  #toldAt = 0;
  #failed: unknown;

  constructor(discovery: Discovery, namespace: string, app: string, gone: AbortSignal) {
    gone.addEventListener("abort", () => this.#stop.abort());
    this.#ended = this.#read(discovery.watch({ namespace, app, signal: this.#stop.signal })).catch((error) => {
      this.#failed = error;
    });
  }

  async #read(states: AsyncIterable<readonly Instance[] | undefined>): Promise<void> {
    for await (const state of states) {
      this.#states.push(state);
      this.#toldAt = performance.now();
    }
  }

  /** How many states it has told. */
  get count(): number {
    return this.#states.length;
  }

  /** What it told last. */
  get last(): readonly Instance[] | undefined {
    return this.#states.at(-1);
  }

  /** When it told that, by `performance.now()`. */
  get toldAt(): number {
    return this.#toldAt;
  }

  /** Waits until the last state has these ids. */
  async expect(ids: readonly string[] | undefined, why: string): Promise<void> {
    await eventually(() => {
      if (this.#failed !== undefined) throw this.#failed;
      assert(this.#states.length > 0, "a watch tells at first what is there");
      assert.deepEqual(idsOf(this.last), ids, why);
    });
  }

  /** Ends it, and waits until it has. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#ended;
    if (this.#failed !== undefined) throw this.#failed;
  }
}
