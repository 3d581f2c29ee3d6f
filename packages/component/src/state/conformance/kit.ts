import assert from "node:assert/strict";
import type { Component } from "../../component.js";
import { PubSubKit, type Session } from "../../pubsub/conformance/kit.js";
import type { CaseOf } from "../../suite/cases.js";
import type { StateFeature } from "../features.js";
import { eventually } from "./expect.js";
import type { StateHarness } from "./harness.js";
import { StateSession } from "./session.js";

/** A case of the state suite. */
export type CaseDefinition = CaseOf<StateFeature, StateHarness, StateKit>;

/** For cases that need what was stored to outlive the component. */
export const survivesRestart = (harness: StateHarness) => harness.durability !== "PROCESS";

/** For cases that need minutes to pass. */
export const turnsClock = (harness: StateHarness) => harness.advance !== undefined;

let keyspaces = 0;
const run = `${Date.now().toString(36)}${Math.floor(Math.random() * 36 ** 6).toString(36)}`;

/** What one case works with. Everything that it opened is closed at its end, and a failure to close fails the case. */
export class StateKit implements AsyncDisposable {
  /** A keyspace that no other case has, of no other run either. */
  readonly keyspace = `conformance/${run}.${++keyspaces}`;
  readonly #components = new Set<Component>();
  readonly #sessions: StateSession[] = [];
  readonly #pubsub: PubSubKit;

  constructor(readonly harness: StateHarness) {
    this.#pubsub = new PubSubKit({ ...harness, features: [], holdsBack: "key" });
  }

  /** A time to live that is worth waiting for. */
  get ttlMs(): number {
    return this.harness.advance === undefined ? 400 : 60_000;
  }

  /** Opens the component once more. */
  async component(): Promise<Component> {
    const component = await this.harness.open();
    this.#components.add(component);
    return component;
  }

  /** Opens the component and gives the case's part of its state store. */
  async open(): Promise<StateSession> {
    return this.session(await this.component());
  }

  /** The case's part, or another, of what a component stores. */
  session(component: Component, keyspace: string = this.keyspace): StateSession {
    const { state } = component.blocks;
    assert(state !== undefined, "the component serves no state block");
    const session = new StateSession(state, keyspace);
    this.#sessions.push(session);
    return session;
  }

  /** The case's part, or another, of the pubsub of a component that serves both. */
  events(component: Component, keyspace: string = this.#pubsub.keyspace): Session {
    return this.#pubsub.session(component, keyspace);
  }

  /** Two stores over the same storage, as in two processes; the same one twice where components share nothing. */
  async pair(): Promise<[StateSession, StateSession]> {
    const first = await this.open();
    return [first, this.harness.shared ? await this.open() : first];
  }

  /** Closes a component before the case ends. */
  async close(component: Component): Promise<void> {
    this.#components.delete(component);
    await component.close();
  }

  /** Waits (or turns the clock) until the store's own clock shows `time`, in ms since the Unix epoch. */
  async reach(session: StateSession, time: number): Promise<void> {
    const probe = new StateSession(session.store, `${session.keyspace}/clock`);
    await eventually(`the store's clock shows ${new Date(time).toISOString()}`, async () => {
      await probe.set("now");
      const now = (await probe.get("now"))?.updateTime ?? 0;
      if (now < time) await this.harness.advance?.(time - now);
      return now >= time;
    });
  }

  /** Lets `ms` pass. */
  elapse(ms: number): Promise<void> {
    return this.#pubsub.elapse(ms);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pubsub[Symbol.asyncDispose]();
    for (const session of this.#sessions) await session.stopWatching();
    await Promise.all([...this.#components].map((component) => component.close()));
  }
}
