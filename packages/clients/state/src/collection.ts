import { toRpcOptions } from "@mecha/client";
import { type StateEntry, type StateItem, toEntry } from "./item.js";
import { createList, type ListOptions, type StateList } from "./list.js";
import { createOperationFactory, type OperationFactory } from "./operation.js";
import { type DeleteOptions, type SetOptions, type StateCallOptions, toPrecondition, toTtl } from "./options.js";
import { decodeItem, nameOf, type Scope } from "./scope.js";
import { type Updated, type UpdateOptions, update } from "./update.js";
import { createWatch, type StateWatch, type WatchOptions } from "./watch.js";

/**
 * The items whose keys begin with a prefix, which callers neither pass nor see, with values of one schema: what does not fit is refused on write
 * (`BAD_REQUEST`) and on read (`INVALID_VALUE`).
 *
 * @typeParam In what may be written.
 * @typeParam Out what is read.
 */
export interface StateCollection<In, Out> {
  /** Reads one item; undefined if there is none. */
  get(key: string, options?: StateCallOptions): Promise<StateItem<Out> | undefined>;
  /** Reads up to 1000 items in one snapshot: for each key its item, or undefined if there is none. */
  getMany(keys: readonly string[], options?: StateCallOptions): Promise<(StateItem<Out> | undefined)[]>;
  /** Writes one item. Without a precondition the last write wins. */
  set(key: string, value: In, options?: SetOptions): Promise<{ readonly etag: string }>;
  /** Deletes one item, and says whether there was one. */
  delete(key: string, options?: DeleteOptions): Promise<{ readonly existed: boolean }>;
  /**
   * Changes one item without losing what others write at the same time: reads it, calls `change`, writes back what it returns, and starts again if
   * somebody else was faster, until the deadline. `change` may run several times; what it throws ends the update.
   */
  update(
    key: string,
    change: (value: Out | undefined, item: StateItem<Out> | undefined) => In | Promise<In>,
    options?: UpdateOptions,
  ): Promise<Updated<In>>;
  /** Lists items by key. While others write no key comes twice, and none that they leave alone is missed. */
  list(options?: ListOptions): StateList<StateItem<Out>>;
  /** Lists items without their values. */
  listKeys(options?: ListOptions): StateList<StateEntry>;
  /** Reports what is there and what changes. */
  watch(options?: WatchOptions): StateWatch<Out>;
  /** Operations on this collection, for {@link StateClient.transact}. */
  readonly operation: OperationFactory<In>;
}

export function createCollection<In, Out>(scope: Scope<In, Out>): StateCollection<In, Out> {
  const { rpc, prefix, codec } = scope;
  const storeOf = (options: StateCallOptions) => options.store ?? scope.store;
  const collection: StateCollection<In, Out> = {
    async get(key, options = {}) {
      const { item } = await rpc.get({ store: storeOf(options), key: prefix + key }, toRpcOptions(options));
      return item && decodeItem(scope, item);
    },
    async getMany(keys, options = {}) {
      if (keys.length === 0) return [];
      const request = { store: storeOf(options), keys: keys.map((key) => prefix + key) };
      const { items } = await rpc.getMany(request, toRpcOptions(options));
      const found = new Map<string, StateItem<Out>>();
      for (const item of await Promise.all(items.map((item) => decodeItem(scope, item)))) found.set(item.key, item);
      return keys.map((key) => found.get(key));
    },
    async set(id, value, options = {}) {
      const key = prefix + id;
      const conditions = { ...toPrecondition(options), ...toTtl(options) };
      const encoded = await codec.encode(value, nameOf(key));
      const requestId = options.requestId ?? "";
      const request = { store: storeOf(options), key, ...encoded, ...conditions, requestId };
      const { etag } = await rpc.set(request, toRpcOptions(options));
      return { etag };
    },
    async delete(key, options = {}) {
      const requestId = options.requestId ?? "";
      const request = { store: storeOf(options), key: prefix + key, ...toPrecondition(options), requestId };
      const { existed } = await rpc.delete(request, toRpcOptions(options));
      return { existed };
    },
    update: (key, change, options = {}) =>
      update(collection, key, change, options, options.timeoutMs ?? scope.runtime.timeoutMs),
    list: (options = {}) => createList(scope, options, false, (item) => decodeItem(scope, item)),
    listKeys: (options = {}) => createList(scope, options, true, (item) => toEntry(item, prefix)),
    watch: (options = {}) => createWatch(scope, options),
    operation: createOperationFactory(codec, prefix),
  };
  return collection;
}
