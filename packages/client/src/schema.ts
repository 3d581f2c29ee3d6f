import type { DescMessage, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import type { StandardSchemaV1 } from "@standard-schema/spec";

/** What says how values look: a protobuf message's schema, or any Standard Schema (zod, valibot, arktype …). */
export type ValueSchema = DescMessage | StandardSchemaV1;

/** What may be written: for protobuf a message or its fields, else what the schema takes. */
export type ValueInput<S extends ValueSchema> = S extends DescMessage
  ? MessageInitShape<S>
  : S extends StandardSchemaV1
    ? StandardSchemaV1.InferInput<S>
    : never;

/** What is read: for protobuf a message, else what the schema gives. */
export type ValueOutput<S extends ValueSchema> = S extends DescMessage
  ? MessageShape<S>
  : S extends StandardSchemaV1
    ? StandardSchemaV1.InferOutput<S>
    : never;

/**
 * What a schema must be beside a schema: one that takes what it gives. What it gives is what is stored, so it must be able to read that again:
 * a default, a brand or `z.coerce.date()` does; `z.string().transform(Number)` does not, and does not compile.
 */
export type Storable<S extends ValueSchema> = [ValueOutput<S>] extends [ValueInput<S>]
  ? unknown
  : { "~error": "this schema does not take what it gives: a stored value could not be read again" };
