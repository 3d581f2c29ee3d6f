import type { Component } from "../../component.js";
import type { Durability } from "../../durability.js";
import type { Awaitable } from "../../state/interface.js";
import type { BlockHarness } from "../../suite/cases.js";
import type { PubSubFeature } from "../features.js";

/** What a component's tests tell the pubsub suite: how to open it, and what it promises. */
export interface PubSubHarness extends BlockHarness<PubSubFeature> {
  /** Starts the component on the storage of this suite; called several times, also while others are open (as another process would). */
  open(): Awaitable<Component>;
  /** What the component must declare under this configuration. From HOST on the suite proves that a restart keeps everything. */
  readonly durability: Durability;
  /** Whether components that are open at the same time share what is stored. Only what lives inside one process does not. */
  readonly shared: boolean;
  /**
   * Whether a retried event of an `ordered` group holds back its key only ("key": SQL engines), or all of its partition ("partition": log
   * engines). Counts only with ORDERED.
   */
  readonly holdsBack: "key" | "partition";
  /** Moves the clock that the component was given on by `ms`. Leave it out where the server's clock counts: the suite then waits. */
  advance?(ms: number): Awaitable<void>;
}
