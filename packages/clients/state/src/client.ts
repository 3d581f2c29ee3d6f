import { createClient } from "@connectrpc/connect";
import { StateService } from "@mecha/api/state";
import {
  type ClientOptions,
  codecOf,
  connectRuntime,
  plainCodec,
  type Storable,
  toRpcOptions,
  type ValueInput,
  type ValueOutput,
  type ValueSchema,
} from "@mecha/client";
import { createCollection, type StateCollection } from "./collection.js";
import type { StateItem } from "./item.js";
import type { ListOptions, StateList } from "./list.js";
import { type Operation, type OperationResult, toOperationResult } from "./operation.js";
import type { StateCallOptions, WriteOptions } from "./options.js";
import { createStateOutbox, type StateOutbox } from "./outbox.js";
import type { Updated, UpdateOptions } from "./update.js";
import type { StateWatch, WatchOptions } from "./watch.js";

/** Options of {@link createStateClient}. */
export interface StateClientOptions extends ClientOptions {
  /** The state component. Default: the runtime's default. */
  store?: string;
}

/**
 * Keys and values that outlive the app. Values without a schema: a `Uint8Array` is stored as bytes, anything else as JSON; on read the content type
 * decides. The type argument of a read is the caller's claim about what is stored; {@link StateClient.collection} checks it.
 */
export interface StateClient
  extends Pick<StateCollection<unknown, unknown>, "set" | "delete" | "listKeys">,
    AsyncDisposable {
  /** Reads one item; undefined if there is none. */
  get<T = unknown>(key: string, options?: StateCallOptions): Promise<StateItem<T> | undefined>;
  /** Reads up to 1000 items in one snapshot: for each key its item, or undefined if there is none. */
  getMany<T = unknown>(keys: readonly string[], options?: StateCallOptions): Promise<(StateItem<T> | undefined)[]>;
  /** Changes one item without losing what others write at the same time: see {@link StateCollection.update}. */
  update<T = unknown>(
    key: string,
    change: (value: T | undefined, item: StateItem<T> | undefined) => T | Promise<T>,
    options?: UpdateOptions,
  ): Promise<Updated<T>>;
  /** Lists items by key. While others write no key comes twice, and none that they leave alone is missed. */
  list<T = unknown>(options?: ListOptions): StateList<StateItem<T>>;
  /** Reports what is there and what changes. */
  watch<T = unknown>(options?: WatchOptions): StateWatch<T>;
  /**
   * Does all operations or none of them. A precondition that does not hold throws the error of the lowest failing operation, with its index in
   * `error.metadata.operation_index`.
   *
   * ```
   * const [order] = await state.transact([operation.set("order-1", order), operation.delete("cart-7")]);
   * ```
   *
   * `operation.publish(topic, data)` among them publishes an event if and only if all of it is done.
   */
  transact<const Operations extends readonly Operation[]>(
    operations: Operations,
    options?: WriteOptions,
  ): Promise<{ -readonly [Index in keyof Operations]: OperationResult<Operations[Index]> }>;
  /**
   * The items whose keys begin with `prefix`, typed and validated by `schema`: a protobuf message's or any Standard Schema (zod, valibot,
   * arktype …).
   */
  collection<S extends ValueSchema>(
    prefix: string,
    schema: S & Storable<S>,
    options?: { store?: string },
  ): StateCollection<ValueInput<S>, ValueOutput<S>>;
  /** What could not be handed over of the events that transactions published to another component. */
  readonly outbox: StateOutbox;
  /** Ends open watches and closes the connections. */
  close(): Promise<void>;
}

/** A client of the runtime's state block. Connects by the first call. */
export function createStateClient(options: StateClientOptions = {}): StateClient {
  const runtime = connectRuntime(options);
  const rpc = createClient(StateService, runtime.transport);
  const scope = { runtime, rpc, store: options.store ?? "" };
  const everything = createCollection({ ...scope, prefix: "", codec: plainCodec });
  const client = {
    ...everything,
    async transact(operations: readonly Operation[], options: WriteOptions = {}) {
      const request = {
        store: options.store ?? scope.store,
        operations: await Promise.all(operations.map(({ encode }) => encode())),
        requestId: options.requestId ?? "",
      };
      const { results } = await rpc.transact(request, toRpcOptions(options));
      return results.map(toOperationResult);
    },
    collection<S extends ValueSchema>(prefix: string, schema: S, { store = scope.store } = {}) {
      return createCollection({ ...scope, store, prefix, codec: codecOf(schema) });
    },
    outbox: createStateOutbox(scope),
    close: runtime.close,
    [Symbol.asyncDispose]: runtime.close,
  };
  // The type arguments of reads, and the tuple of a transaction's results, are known to callers only.
  return client as StateClient;
}
