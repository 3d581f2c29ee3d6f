import type { Component } from "../../component.js";
import type { Awaitable } from "../../state/interface.js";
import type { BlockHarness } from "../../suite/cases.js";
import type { BindingFeature } from "../features.js";

/** A call of one operation. */
export interface Sample {
  readonly operation: string;
  /** Text is its UTF-8. Default: none. */
  readonly data?: string | Uint8Array;
  readonly contentType?: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** What a component's tests tell the binding suite: how to open it, what it does, and how to make its events happen. */
export interface BindingHarness extends BlockHarness<BindingFeature> {
  /** Starts the component; called several times, also while others are open. */
  open(): Awaitable<Component>;
  /** A call that works however often it is made. Required with OUTPUT. */
  readonly works?: Sample;
  /** A call that takes longer than the suite waits, unless it is cancelled. Leave it out where there is none. */
  readonly slow?: Sample;
  /** Makes one event happen for the consumers of the suite's app. Required with INPUT. */
  trigger?(component: Component, keyspace: string): Awaitable<void>;
  /** Whether events that failed come again by themselves ("component"), or whoever sent them sends them again ("sender"). Default "component". */
  readonly redelivers?: "component" | "sender";
  /** Moves the clock that the component was given on by `ms`. Leave it out where another clock counts: the suite then waits. */
  advance?(ms: number): Awaitable<void>;
}
