import type { Component } from "../../component.js";
import type { Awaitable } from "../../state/interface.js";
import type { BlockHarness } from "../../suite/cases.js";
import type { DiscoveryFeature } from "../features.js";

/** What a component's tests tell the discovery suite: how to open it, and what is there. */
export interface DiscoveryHarness extends BlockHarness<DiscoveryFeature> {
  /** Starts the component; several times, also while others are open (as another process would). They share what is registered. */
  open(): Awaitable<Component>;
  /** An app that can be found without REGISTER; with REGISTER, leave it out. */
  readonly known?: { readonly namespace: string; readonly app: string; readonly addresses: readonly string[] };
  /** Moves the clock that the component was given on by `ms`. Leave it out where the server's clock counts: the suite then waits. */
  advance?(ms: number): Awaitable<void>;
}
