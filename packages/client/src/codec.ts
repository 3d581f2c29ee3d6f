import type { DescMessage, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { create, fromBinary, fromJsonString, isMessage, toBinary } from "@bufbuild/protobuf";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { MechaError, type Violation } from "./errors.js";
import { isProtobuf, parseMediaType } from "./media-type.js";
import type { ValueInput, ValueOutput, ValueSchema } from "./schema.js";

/** A value as contracts carry it. */
export interface EncodedValue {
  readonly value: Uint8Array;
  readonly contentType: string;
}

/** Turns values into bytes and back. `name` says in errors whose value it is: `item "order-1"`. */
export interface Codec<In, Out> {
  encode(value: In, name: string): EncodedValue | Promise<EncodedValue>;
  decode(encoded: EncodedValue, name: string): Out | Promise<Out>;
}

const utf8 = new TextEncoder();
const fromUtf8 = new TextDecoder("utf-8", { fatal: true });

/**
 * Values without a schema: a `Uint8Array` is `application/octet-stream`, everything else JSON. On read the content type decides: JSON is parsed,
 * `text/*` is a string, anything else is the bytes as they are.
 */
export const plainCodec: Codec<unknown, unknown> = {
  encode(value, name) {
    if (value instanceof Uint8Array) return { value, contentType: "application/octet-stream" };
    return { value: utf8.encode(toJson(value, name)), contentType: "application/json" };
  },
  decode({ value, contentType }, name) {
    const { type } = parseMediaType(contentType);
    try {
      if (isJson(type)) return JSON.parse(fromUtf8.decode(value)) as unknown;
      return type.startsWith("text/") ? fromUtf8.decode(value) : value;
    } catch (cause) {
      throw invalidValue(name, `is stored as ${contentType} and is none`, [], cause);
    }
  },
};

/** Values of a schema: protobuf messages as protobuf, those of a Standard Schema as JSON, validated on every write and read. */
export function codecOf<S extends ValueSchema>(schema: S): Codec<ValueInput<S>, ValueOutput<S>> {
  // Which branch applies is known, but not to the compiler: a conditional type does not narrow with its value.
  return ("~standard" in schema ? standardCodec(schema) : messageCodec(schema)) as Codec<ValueInput<S>, ValueOutput<S>>;
}

function standardCodec(schema: StandardSchemaV1): Codec<unknown, unknown> {
  return {
    async encode(value, name) {
      const result = await schema["~standard"].validate(value);
      if (result.issues === undefined) return plainCodec.encode(result.value, name);
      const violations = toViolations(result.issues);
      throw new MechaError(`${name}: ${describe(violations)}`, {
        code: "invalid_argument",
        reason: "BAD_REQUEST",
        violations,
      });
    },
    async decode(encoded, name) {
      const result = await schema["~standard"].validate(await plainCodec.decode(encoded, name));
      if (result.issues === undefined) return result.value;
      const violations = toViolations(result.issues);
      throw invalidValue(name, `does not fit its schema: ${describe(violations)}`, violations);
    },
  };
}

function messageCodec<Desc extends DescMessage>(schema: Desc): Codec<MessageInitShape<Desc>, MessageShape<Desc>> {
  const contentType = `application/protobuf; messageType="${schema.typeName}"`;
  return {
    encode(value, name) {
      try {
        return { value: toBinary(schema, isMessage(value, schema) ? value : create(schema, value)), contentType };
      } catch (cause) {
        throw unwritable(name, messageOf(cause), cause);
      }
    },
    decode(encoded, name) {
      const { type, parameters } = parseMediaType(encoded.contentType);
      const messageType = parameters.get("messagetype") ?? schema.typeName;
      try {
        if (isProtobuf(type) && messageType === schema.typeName) return fromBinary(schema, encoded.value);
        if (isJson(type)) return fromJsonString(schema, fromUtf8.decode(encoded.value), { ignoreUnknownFields: true });
      } catch (cause) {
        throw invalidValue(name, `is stored as ${encoded.contentType} and is no ${schema.typeName}`, [], cause);
      }
      throw invalidValue(name, `is stored as ${encoded.contentType || "bytes"}, not as ${schema.typeName}`);
    },
  };
}

function isJson(type: string): boolean {
  return type === "application/json" || type.endsWith("+json");
}

/** JSON text of a value. One that JSON would empty or drop is refused; what stands deeper inside is as `JSON.stringify` has it. */
function toJson(value: unknown, name: string): string {
  if (isMessage(value)) {
    throw unwritable(name, `is a ${value.$typeName}; a protobuf message needs its schema: use a collection of it`);
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value) && !isPlain(value)) {
    throw unwritable(
      name,
      `a ${value.constructor.name} has no JSON form; pass a plain object, an array or a Uint8Array`,
    );
  }
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    throw unwritable(name, messageOf(cause), cause);
  }
  if (text === undefined) throw unwritable(name, `is ${typeof value}, which has no JSON form`);
  return text;
}

/** An object literal of any realm, or one that says itself what its JSON is. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null || "toJSON" in value;
}

function toViolations(issues: readonly StandardSchemaV1.Issue[]): Violation[] {
  return issues.map(({ path, message }) => ({ field: toPath(path ?? []), description: message }));
}

/** `["items", 0, "price"]` is "items[0].price". */
function toPath(path: NonNullable<StandardSchemaV1.Issue["path"]>): string {
  let text = "";
  for (const segment of path) {
    const key = typeof segment === "object" ? segment.key : segment;
    if (typeof key === "number") text += `[${key}]`;
    else text += text === "" ? String(key) : `.${String(key)}`;
  }
  return text;
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

/** What the caller passed cannot be stored. */
function unwritable(name: string, problem: string, cause?: unknown): MechaError {
  return new MechaError(`${name} ${problem}`, {
    code: "invalid_argument",
    reason: "BAD_REQUEST",
    violations: [{ field: "value", description: problem }],
    cause,
  });
}

function describe(violations: readonly Violation[]): string {
  return violations
    .map(({ field, description }) => (field === "" ? description : `${field}: ${description}`))
    .join("; ");
}

/** What is stored cannot be what the caller asked for; the caller's code or the data must change, trying again does not help. */
function invalidValue(
  name: string,
  problem: string,
  violations: readonly Violation[] = [],
  cause?: unknown,
): MechaError {
  return new MechaError(`${name} ${problem}`, {
    code: "failed_precondition",
    reason: "INVALID_VALUE",
    violations,
    cause,
  });
}
