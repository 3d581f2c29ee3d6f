import type { MessageInitShape } from "@bufbuild/protobuf";
import type { OperationSchema, OperationResult as Result } from "@mecha/api/state";
import { type Codec, plainCodec } from "@mecha/client";
import { type DeleteCondition, type Precondition, type SetCondition, toPrecondition, toTtl } from "./options.js";
import { nameOf } from "./scope.js";

/** One operation of a transaction, made by {@link operation} or a collection's `operation`. Making it does nothing yet. */
export interface Operation<Type extends "set" | "delete" | "check" = "set" | "delete" | "check"> {
  readonly type: Type;
  /** The whole key, a collection's prefix included. */
  readonly key: string;
  /** @internal */
  readonly encode: () => Promise<MessageInitShape<typeof OperationSchema>>;
}

/** What an operation of a transaction did. */
export type OperationResult<O> =
  O extends Operation<infer Type>
    ? { set: { readonly etag: string }; delete: { readonly existed: boolean }; check: undefined }[Type]
    : never;

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
export const operation: OperationFactory<unknown> = createOperationFactory(plainCodec, "");

/** What the runtime reports of one operation, as callers see it. */
export function toOperationResult({ result }: Result): OperationResult<Operation> {
  switch (result.case) {
    case "set":
      return { etag: result.value.etag };
    case "delete":
      return { existed: result.value.existed };
    default:
      return undefined;
  }
}
