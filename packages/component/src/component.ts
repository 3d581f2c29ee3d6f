import type { ZodType } from "zod";
import type { BindingFeature } from "./binding/features.js";
import type { Binding, InputDescription, Operation } from "./binding/interface.js";
import type { Clock } from "./clock.js";
import type { DiscoveryFeature } from "./discovery/features.js";
import type { Discovery } from "./discovery/interface.js";
import type { Durability } from "./durability.js";
import type { PubSubFeature } from "./pubsub/features.js";
import type { PubSub } from "./pubsub/interface.js";
import type { SecretStore } from "./secret/interface.js";
import type { StateFeature } from "./state/features.js";
import type { Awaitable, StateStore } from "./state/interface.js";

/** What a component serves: one entry per block, over one shared connection. Adding a block adds a line here. */
export interface Blocks {
  state?: StateStore;
  pubsub?: PubSub;
  binding?: Binding;
  secret?: SecretStore;
  discovery?: Discovery;
}

/**
 * What a type of component can serve, known before one is started: `mecha check` judges resources by it (`blocks`, `requires`, two
 * defaults), and the docs are made of it. What a running component reports is within what is declared here.
 */
export interface Serves {
  state?: {
    features: readonly StateFeature[];
    /** Every durability that a configuration can bring, with the words that say when: `{ HOST: "always" }`. */
    durability: Readonly<Partial<Record<Durability, string>>>;
  };
  pubsub?: {
    features: readonly PubSubFeature[];
    durability: Readonly<Partial<Record<Durability, string>>>;
  };
  binding?: {
    features: readonly BindingFeature[];
    /** Every operation that a configuration can bring. */
    operations: readonly Operation[];
    /** Its events, if it can have any. */
    input?: InputDescription;
  };
  secret?: Record<string, never>;
  discovery?: { features: readonly DiscoveryFeature[] };
}

/** A structured log of one component; fields never hold a secret. */
export interface Logger {
  debug(message: string, fields?: Record<string, unknown>): void;
  info(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
  error(message: string, fields?: Record<string, unknown>): void;
}

/** What the runtime hands a component when it starts it. */
export interface ComponentContext {
  /** The component's name (`metadata.name`). */
  readonly name: string;
  /** Where an embedded component may keep files; it exists, with mode 0700. */
  readonly dataDir: string;
  /** The folder of the resource file: what relative paths in the configuration are relative to. */
  readonly baseDir: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Aborts when the start is given up. */
  readonly signal: AbortSignal;
  /** The store that its definition asks for (`needsStore`). */
  readonly store?: AssistStore;
}

/** A state store that keeps what a component cannot keep itself: `assist: { store: X }` in its resource, else the default store. */
export interface AssistStore {
  /**
   * Uses the store. It may be replaced while the component runs, so what `work` is given is good for `work` alone. `keyspace` is the component's
   * own part of it, the same in every runtime of the namespace. Rejects with COMPONENT_UNAVAILABLE while there is none.
   */
  use<T>(work: (store: StateStore, keyspace: string) => Awaitable<T>): Promise<T>;
}

/** One running component. */
export interface Component {
  readonly blocks: Blocks;
  /** Asks the infrastructure whether it answers; rejects with what is wrong. Called every few seconds, so it must be cheap. */
  health(signal: AbortSignal): Promise<void>;
  /** Finishes what is in flight and lets everything go. Called once. */
  close(): Promise<void>;
}

/** A type of component: how its configuration looks and how it is started. */
export interface ComponentDefinition<Config = unknown> {
  /** The name that `spec.type` uses: "redis". */
  readonly type: string;
  /** One line for `mecha schema`, the docs and error messages. */
  readonly description: string;
  /** The shape of `spec.config`. Every field has `.describe(…)`: purpose, unit, default, limit; the docs are made of it. */
  readonly config: ZodType<Config>;
  /** The blocks that it can serve, and how well. */
  readonly serves: Serves;
  /**
   * The blocks that it can serve besides, for a resource that asks for them by name (`blocks`, or a list as its `default`). For what a resource
   * that leaves `blocks` out does not mean: runtimes with one database in common would find each other, wherever they are. Such a block is in
   * the running component's `blocks` whether it was asked for or not, and must cost nothing until it is used. Default: none.
   */
  readonly servesOnRequest?: Serves;
  /**
   * How a changed configuration replaces a running component: "beside" (default) starts the new one first; "stop-first" is for what
   * holds something exclusive.
   */
  readonly replace?: "beside" | "stop-first";
  /** Whether it needs a state store beside it, with these features: the context then has a `store`. */
  readonly needsStore?: readonly StateFeature[];
  /**
   * Starts the component; resolves when it is ready to serve. Rejects with a ComponentError that says what to do:
   * `connection refused at 127.0.0.1:5432; is PostgreSQL running?`
   */
  create(config: Config, context: ComponentContext): Promise<Component>;
}

/** Defines a type of component. Identity, for its types. */
export function defineComponent<Config>(definition: ComponentDefinition<Config>): ComponentDefinition<Config> {
  return definition;
}
