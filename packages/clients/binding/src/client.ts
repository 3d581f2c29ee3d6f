import type { MessageInitShape } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { BindingService, type Delivery, type Opened, type OpenSchema } from "@mecha/api/binding";
import {
  type CallOptions,
  type ClientOptions,
  type Codec,
  codecOf,
  connectRuntime,
  plainCodec,
  toRpcOptions,
  type ValueOutput,
  type ValueSchema,
} from "@mecha/client";
import {
  createEventStream,
  createEventSubscription,
  type DeliveryRetryOptions,
  type EventStream,
  type ReceiveOptions,
  type Settleable,
  type Subscription,
  toRetryPolicy,
  type Wire,
} from "@mecha/client/delivery";
import { type BindingEvent, type BindingEventHandler, readData, toEvent } from "./event.js";

/** How to invoke an operation. */
export interface InvokeOptions extends CallOptions {
  /** The operation's parameters: `mecha info` lists them. */
  metadata?: Record<string, string>;
  /** The media type of the data. Default: JSON for plain objects and arrays, text for strings, bytes for a `Uint8Array`. */
  contentType?: string;
}

/** What came of an operation. */
export interface InvokeResult<T = unknown> {
  /** By content type: JSON is parsed, `text/*` is a string, anything else is bytes; undefined if there is none. */
  readonly data: T;
  readonly contentType: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** How to receive events. Attempts, backoff and time to settle belong to this subscription. */
export interface SubscribeOptions extends ReceiveOptions, DeliveryRetryOptions {}

/** Operations on what lies outside, and events from it. */
export interface BindingClient extends AsyncDisposable {
  /**
   * Does one operation. A type argument is the caller's claim about the answer; a `schema` (protobuf or any Standard Schema) checks it.
   *
   * ```
   * const { data } = await bindings.invoke<Order>("shop-api", "get", undefined, { metadata: { path: "/orders/7" } });
   * ```
   */
  invoke<S extends ValueSchema>(
    binding: string,
    operation: string,
    data: unknown,
    options: InvokeOptions & { schema: S },
  ): Promise<InvokeResult<ValueOutput<S>>>;
  invoke<T = unknown>(
    binding: string,
    operation: string,
    data?: unknown,
    options?: InvokeOptions,
  ): Promise<InvokeResult<T>>;
  /** Handles events as they come, `concurrency` at a time (default 16), for as long as the app runs: across restarts of the runtime. */
  subscribe<S extends ValueSchema>(
    binding: string,
    handle: BindingEventHandler<ValueOutput<S>>,
    options: SubscribeOptions & { schema: S; concurrency?: number },
  ): Subscription;
  subscribe<T = unknown>(
    binding: string,
    handle: BindingEventHandler<T>,
    options?: SubscribeOptions & { concurrency?: number },
  ): Subscription;
  /** Events one by one, to settle yourself; up to `maxInFlight` unsettled (default 64). */
  stream<S extends ValueSchema>(
    binding: string,
    options: SubscribeOptions & { schema: S; maxInFlight?: number },
  ): EventStream<BindingEvent<ValueOutput<S>>>;
  stream<T = unknown>(
    binding: string,
    options?: SubscribeOptions & { maxInFlight?: number },
  ): EventStream<BindingEvent<T>>;
  /** Ends subscriptions and closes the connections. */
  close(): Promise<void>;
}

type AnyOptions = SubscribeOptions & { schema?: ValueSchema; concurrency?: number; maxInFlight?: number };

type EventWire = Wire<MessageInitShape<typeof OpenSchema>, Opened, Delivery, BindingEvent & Settleable>;

/** Handlers at work at a time, unless told. */
const defaultConcurrency = 16;

/** Events of a stream that may be unsettled at a time, unless told. */
const defaultMaxInFlight = 64;

/** A client of the runtime's binding block. Connects by the first call. */
export function createBindingClient(options: ClientOptions = {}): BindingClient {
  const runtime = connectRuntime(options);
  const rpc = createClient(BindingService, runtime.transport);

  /** The events of a binding, as the flow of deliveries takes them. */
  const createWire = (binding: string, maxInFlight: number, options: AnyOptions): EventWire => {
    const codec = codecFor(options.schema);
    const maxInFlightBytes = BigInt(options.maxInFlightBytes ?? 0);
    return {
      open: { binding, maxInFlight, maxInFlightBytes, ...toRetryPolicy(options) },
      subscribe: (requests, call) => rpc.subscribe(requests, call),
      ackTimeoutOf: ({ ackTimeout }) => ackTimeout,
      read: (delivery, settleable) => toEvent(delivery, settleable, codec),
    };
  };

  const client = {
    async invoke(binding: string, operation: string, data?: unknown, options: InvokeOptions & WithSchema = {}) {
      const { metadata = {} } = options;
      const encoded = await encode(data, `data for operation "${operation}"`);
      const contentType = options.contentType ?? encoded.contentType;
      const request = { binding, operation, data: encoded.value, contentType, metadata };
      const answer = await rpc.invoke(request, toRpcOptions(options));
      const codec = codecFor(options.schema);
      return {
        data: await readData(answer.data, answer.contentType, codec, `answer of "${operation}"`),
        contentType: answer.contentType,
        metadata: answer.metadata,
      };
    },
    subscribe(binding: string, handle: BindingEventHandler<unknown>, options: AnyOptions = {}) {
      const { concurrency = defaultConcurrency } = options;
      // As many again wait at hand, so that no handler waits for the network.
      const wire = createWire(binding, concurrency * 2, options);
      return createEventSubscription(runtime, wire, handle, { ...options, concurrency });
    },
    stream(binding: string, options: AnyOptions = {}) {
      const { maxInFlight = defaultMaxInFlight } = options;
      return createEventStream(runtime, createWire(binding, maxInFlight, options), options);
    },
    close: runtime.close,
    [Symbol.asyncDispose]: runtime.close,
  };
  // What data is, by schema or by claim, is known to callers only.
  return client as BindingClient;
}

interface WithSchema {
  schema?: ValueSchema;
}

/** Text travels as text: what a file or a mail holds is no JSON. */
async function encode(data: unknown, name: string) {
  if (data === undefined) return { value: new Uint8Array(), contentType: "" };
  if (typeof data === "string")
    return { value: new TextEncoder().encode(data), contentType: "text/plain; charset=utf-8" };
  return plainCodec.encode(data, name);
}

function codecFor(schema: ValueSchema | undefined): Codec<never, unknown> {
  return schema === undefined ? plainCodec : (codecOf(schema) as Codec<never, unknown>);
}
