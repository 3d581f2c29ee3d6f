import type { Component } from "../../component.js";
import type { Durability } from "../../durability.js";
import type { PubSubFeature } from "../../pubsub/features.js";
import type { BlockHarness } from "../../suite/cases.js";
import type { StateFeature } from "../features.js";
import type { Awaitable } from "../interface.js";

/** What a component's tests tell the state suite: how to open it, and what it promises. */
export interface StateHarness extends BlockHarness<StateFeature> {
  /**
   * Starts the component on the storage of this suite: always the same one, empty or not, since every case has keyspaces of its own. It is
   * called several times, also while others are open (then as another process would), and again after they were closed.
   */
  open(): Awaitable<Component>;
  /** What the component must declare under this configuration. From HOST on the suite proves that a restart keeps everything. */
  readonly durability: Durability;
  /**
   * With OUTBOX: what the pubsub of the same component must declare. The suite leaves out what becomes of a transaction's events by DEDUP, DELAY and
   * TTL where they are not among these.
   */
  readonly pubsubFeatures?: readonly PubSubFeature[];
  /** Whether components that are open at the same time share what is stored. Only what lives inside one process does not. */
  readonly shared: boolean;
  /**
   * Moves the clock that the component was given on by `ms`. Leave it out where the server's clock counts: the suite then waits until a
   * write bears the time it waits for, and leaves out what would take minutes.
   */
  advance?(ms: number): Awaitable<void>;
  /** Makes every resume token that was given so far too old, by whatever limit the store has. Left out: RESUME_EXPIRED is not proven. */
  expireResumeTokens?(component: Component, keyspace: string): Awaitable<void>;
}
