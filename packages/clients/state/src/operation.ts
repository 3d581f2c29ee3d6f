import type { MessageInitShape } from "@bufbuild/protobuf";
import type { OperationSchema, OperationResult as Result } from "@mecha/api/state";
import { type Codec, type EventOptions, plainCodec, toPublishEntry } from "@mecha/client";
import { type DeleteCondition, type Precondition, type SetCondition, toPrecondition, toTtl } from "./options.js";
import { nameOf } from "./scope.js";

/** What an operation of a transaction does. */
export type OperationType = "set" | "delete" | "check" | "publish";

/** One operation of a transaction, made by {@link operation} or a collection's `operation`. Making it does nothing yet. */
export interface Operation<Type extends OperationType = OperationType> {
  readonly type: Type;
  /** The whole key, a collection's prefix included; undefined of `publish`, which has none. */
  readonly key: Type extends "publish" ? undefined : string;
  /** @internal */
  readonly encode: () => Promise<MessageInitShape<typeof OperationSchema>>;
}

/** What an operation of a transaction did. */
export type OperationResult<O> =
  O extends Operation<infer Type>
    ? {
        set: { readonly etag: string };
        delete: { readonly existed: boolean };
        check: undefined;
        publish: { readonly eventId: string };
      }[Type]
    : never;

/** What an event of a transaction says beside its data, and where it goes. */
export interface PublishOperationOptions extends EventOptions {
  /** The pubsub component. Default: the runtime's default. */
  pubsub?: string;
}

/** Makes operations that publish, for `transact`: the transactional outbox. */
export interface PublishOperationFactory {
  /**
   * Publishes an event if and only if the transaction is committed; what happens to the app or the runtime afterwards changes nothing. Feature
   * OUTBOX. By the store itself it is published with the commit; to another component it is handed over at least once, right after.
   */
  publish(topic: string, data?: unknown, options?: PublishOperationOptions): Operation<"publish">;
}

/** Makes operations for `transact`. */
export interface OperationFactory<In> {
  /** Writes an item. */
  set(key: string, value: In, options?: SetCondition): Operation<"set">;
  /** Deletes an item. */
  delete(key: string, options?: DeleteCondition): Operation<"delete">;
  /** Requires something of a key and leaves it as it is; holds against concurrent writers until the transaction is done. */
  check(key: string, precondition: Precondition): Operation<"check">;
}

export function createOperationFactory<In>(codec: Codec<In, unknown>, prefix: string): OperationFactory<In> {
  return {
    set(id, value, options = {}) {
      const key = prefix + id;
      const encode = async () => {
        const encoded = await codec.encode(value, nameOf(key));
        const set = { key, ...encoded, ...toPrecondition(options), ...toTtl(options) };
        return { operation: { case: "set" as const, value: set } };
      };
      return { type: "set", key, encode };
    },
    delete(id, options = {}) {
      const key = prefix + id;
      const encode = async () => ({
        operation: { case: "delete" as const, value: { key, ...toPrecondition(options) } },
      });
      return { type: "delete", key, encode };
    },
    check(id, precondition) {
      const key = prefix + id;
      const encode = async () => ({
        operation: { case: "check" as const, value: { key, ...toPrecondition(precondition) } },
      });
      return { type: "check", key, encode };
    },
  };
}

/** Operations on plain values; a collection has its own, typed ones. */
export const operation: OperationFactory<unknown> & PublishOperationFactory = {
  ...createOperationFactory(plainCodec, ""),
  publish(topic, data, { pubsub = "", ...options } = {}) {
    const encode = async () => {
      const entry = await toPublishEntry(topic, data, options);
      return { operation: { case: "publish" as const, value: { pubsub, entry } } };
    };
    return { type: "publish", key: undefined, encode };
  },
};

/** What the runtime reports of one operation, as callers see it. */
export function toOperationResult({ result }: Result): OperationResult<Operation> {
  switch (result.case) {
    case "set":
      return { etag: result.value.etag };
    case "delete":
      return { existed: result.value.existed };
    case "publish":
      return { eventId: result.value.eventId };
    default:
      return undefined;
  }
}
