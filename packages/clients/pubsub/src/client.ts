import { createClient } from "@connectrpc/connect";
import { PubSubService } from "@mecha/api/pubsub";
import {
  type CallOptions,
  type ClientOptions,
  type Codec,
  codecOf,
  connectRuntime,
  inTraceOf,
  plainCodec,
  toPublishEntry,
  toRpcOptions,
  type ValueOutput,
  type ValueSchema,
} from "@mecha/client";
import {
  createEventStream,
  createEventSubscription,
  type EventStream,
  type Subscription,
} from "@mecha/client/delivery";
import { type DeadLetter, type DeadLetterOptions, listDeadLetters, toSelection } from "./dead-letters.js";
import type { EventHandler, ReceivedEvent } from "./event.js";
import type { SubscribeOptions } from "./options.js";
import { type PublishEntry, type Published, type PublishOptions, type PublishOutcome, toOutcome } from "./publish.js";
import { createWire, type Scope } from "./scope.js";

/** Options of {@link createPubSubClient}. */
export interface PubSubClientOptions extends ClientOptions {
  /** The pubsub component. Default: the runtime's default. */
  pubsub?: string;
}

/**
 * Events from apps to apps, at least once. Data without a schema: a `Uint8Array` travels as bytes, anything else as JSON; on receipt the content
 * type decides. A type argument is the caller's claim about the data; a `schema` checks it.
 */
export interface PubSubClient extends AsyncDisposable {
  /** Publishes one event; resolves when it is durable. */
  publish(topic: string, data?: unknown, options?: PublishOptions): Promise<Published>;
  /** Publishes many; each has its own outcome, in their order. */
  publishMany(entries: readonly PublishEntry[], options?: CallOptions & { pubsub?: string }): Promise<PublishOutcome[]>;
  /**
   * Handles events as they come, `concurrency` at a time (default 16), for as long as the app runs: across restarts of the runtime.
   *
   * ```
   * await using orders = pubsub.subscribe<Order>("orders", async (event) => ship(event.data));
   * ```
   */
  subscribe<S extends ValueSchema>(
    topic: string,
    handle: EventHandler<ValueOutput<S>>,
    options: SubscribeOptions & { schema: S; concurrency?: number },
  ): Subscription;
  subscribe<T = unknown>(
    topic: string,
    handle: EventHandler<T>,
    options?: SubscribeOptions & { concurrency?: number },
  ): Subscription;
  /** Events one by one, to settle yourself; up to `maxInFlight` unsettled (default 64). */
  stream<S extends ValueSchema>(
    topic: string,
    options: SubscribeOptions & { schema: S; maxInFlight?: number },
  ): EventStream<ReceivedEvent<ValueOutput<S>>>;
  stream<T = unknown>(
    topic: string,
    options?: SubscribeOptions & { maxInFlight?: number },
  ): EventStream<ReceivedEvent<T>>;
  /** The events that a group gave up, oldest first. */
  deadLetters<T = unknown>(topic: string, options?: DeadLetterOptions): AsyncIterable<DeadLetter<T>>;
  /** Delivers dead letters again, with a fresh count of attempts; resolves with how many there were. */
  requeueDeadLetters(topic: string, ids: readonly string[] | "all", options?: DeadLetterOptions): Promise<number>;
  /** Forgets dead letters; resolves with how many there were. */
  dropDeadLetters(topic: string, ids: readonly string[] | "all", options?: DeadLetterOptions): Promise<number>;
  /** Ends subscriptions and closes the connections. */
  close(): Promise<void>;
}

/** Handlers at work at a time, unless told. */
const defaultConcurrency = 16;

/** Events of a stream that may be unsettled at a time, unless told. */
const defaultMaxInFlight = 64;

type AnyOptions = SubscribeOptions & { schema?: ValueSchema; concurrency?: number; maxInFlight?: number };

/** A client of the runtime's pubsub block. Connects by the first call. */
export function createPubSubClient(options: PubSubClientOptions = {}): PubSubClient {
  const runtime = connectRuntime(options);
  const rpc = createClient(PubSubService, runtime.transport);
  const scope: Scope = { runtime, rpc, pubsub: options.pubsub ?? "" };
  const client = {
    async publish(topic: string, data?: unknown, options: PublishOptions = {}): Promise<Published> {
      const { pubsub = scope.pubsub, requestId = "" } = options;
      const entry = await toPublishEntry(topic, data, options);
      const { eventId, duplicate } = await rpc.publish({ pubsub, entry, requestId }, toRpcOptions(options));
      return { eventId, duplicate };
    },
    async publishMany(entries: readonly PublishEntry[], options: CallOptions & { pubsub?: string } = {}) {
      const { pubsub = scope.pubsub } = options;
      const request = {
        pubsub,
        entries: await Promise.all(entries.map((entry) => toPublishEntry(entry.topic, entry.data, entry))),
      };
      const { results } = await rpc.publishMany(request, toRpcOptions(options));
      return results.map(toOutcome);
    },
    subscribe(topic: string, handle: EventHandler<unknown>, options: AnyOptions = {}) {
      const { concurrency = defaultConcurrency } = options;
      // As many again wait at hand, so that no handler waits for the network.
      const wire = createWire(scope, topic, codecFor(options.schema), concurrency * 2, options);
      return createEventSubscription(runtime, wire, (event) => inTraceOf(event.extensions, () => handle(event)), {
        ...options,
        concurrency,
      });
    },
    stream(topic: string, options: AnyOptions = {}) {
      const { maxInFlight = defaultMaxInFlight } = options;
      return createEventStream(
        runtime,
        createWire(scope, topic, codecFor(options.schema), maxInFlight, options),
        options,
      );
    },
    deadLetters: (topic: string, options: DeadLetterOptions = {}) => listDeadLetters(scope, topic, options),
    async requeueDeadLetters(topic: string, ids: readonly string[] | "all", options: DeadLetterOptions = {}) {
      return Number(
        (await rpc.requeueDeadLetters(toSelection(scope, topic, ids, options), toRpcOptions(options))).count,
      );
    },
    async dropDeadLetters(topic: string, ids: readonly string[] | "all", options: DeadLetterOptions = {}) {
      return Number((await rpc.dropDeadLetters(toSelection(scope, topic, ids, options), toRpcOptions(options))).count);
    },
    close: runtime.close,
    [Symbol.asyncDispose]: runtime.close,
  };
  // What events carry, by schema or by claim, is known to callers only.
  return client as PubSubClient;
}

function codecFor(schema: ValueSchema | undefined): Codec<never, unknown> {
  return schema === undefined ? plainCodec : (codecOf(schema) as Codec<never, unknown>);
}
