import {
  type DescEnum,
  type DescField,
  type DescMessage,
  isFieldSet,
  type Message,
  ScalarType,
  toJson,
} from "@bufbuild/protobuf";
import { isWrapperDesc } from "@bufbuild/protobuf/wkt";

type Write = (value: unknown) => unknown;
type Fields = Record<string, unknown>;

/** A value that protobuf-es would refuse: it shall say so in its own words. */
class Unusual extends Error {}

const writers = new WeakMap<DescMessage, Write>();

/**
 * protobuf-es's JSON with one difference: bytes become base64 by `Buffer`, where the library loops over them (half the cost of a
 * message with a value of 1 KiB, until Node has `Uint8Array.toBase64`). Knows no options but the defaults.
 *
 * @returns undefined for a type without bytes, which is left to the library.
 */
export function createJsonWriter(schema: DescMessage): ((message: Message) => string) | undefined {
  if (!holdsBytes(schema, new Set())) return undefined;
  const write = compile(schema);
  return (message) => {
    try {
      return JSON.stringify(write(message));
    } catch (error) {
      if (error instanceof Unusual) return JSON.stringify(toJson(schema, message));
      throw error;
    }
  };
}

function holdsBytes(schema: DescMessage, seen: Set<DescMessage>): boolean {
  if (seen.has(schema)) return false;
  seen.add(schema);
  return schema.fields.some(
    (field) => field.scalar === ScalarType.BYTES || (field.message !== undefined && holdsBytes(field.message, seen)),
  );
}

function compile(schema: DescMessage): Write {
  const known = writers.get(schema);
  if (known) return known;
  if (isSpecial(schema)) return (message) => toJson(schema, message as Message);
  const fields: ((message: Fields, json: Fields) => void)[] = [];
  const write: Write = (message) => {
    if ((message as Message).$typeName !== schema.typeName) throw new Unusual();
    const json: Fields = {};
    for (const field of fields) field(message as Fields, json);
    return json;
  };
  // Before its fields are compiled: a type may hold itself.
  writers.set(schema, write);
  for (const field of [...schema.fields].sort((a, b) => a.number - b.number)) fields.push(compileField(field));
  return write;
}

function compileField(field: DescField): (message: Fields, json: Fields) => void {
  const { jsonName, localName, oneof } = field;
  const write = compileAny(field);
  if (jsonName === "__proto__") {
    return () => {
      throw new Unusual();
    };
  }
  if (oneof) {
    return (message, json) => {
      const chosen = message[oneof.localName] as { case?: string; value?: unknown };
      if (chosen.case === localName) json[jsonName] = write(chosen.value);
    };
  }
  return (message, json) => {
    if (isFieldSet(message as Fields & Message, field)) json[jsonName] = write(message[localName]);
  };
}

function compileAny(field: DescField): Write {
  switch (field.fieldKind) {
    case "list": {
      const write = compileItem(field.enum, field.message, field.scalar);
      return (items) => (items as unknown[]).map(write);
    }
    case "map": {
      const write = compileItem(field.enum, field.message, field.scalar);
      return (entries) => {
        // Without a prototype, "__proto__" is a key like any other.
        const json: Fields = Object.create(null);
        for (const [key, value] of Object.entries(entries as Fields)) json[key] = write(value);
        return json;
      };
    }
    default:
      return compileItem(field.enum, field.message, field.scalar);
  }
}

function compileItem(enumeration: DescEnum | undefined, message: DescMessage | undefined, scalar: unknown): Write {
  if (enumeration) return compileEnum(enumeration);
  if (message === undefined) return compileScalar(scalar as ScalarType);
  // In a field, wrappers are the value itself, and a Struct is the JSON object itself.
  if (isWrapperDesc(message)) return compileScalar(message.fields[0].scalar);
  if (message.typeName === "google.protobuf.Struct") return (value) => value;
  let write: Write | undefined;
  return (value) => {
    write ??= compile(message);
    return write(value);
  };
}

function compileEnum(schema: DescEnum): Write {
  const isNull = schema.typeName === "google.protobuf.NullValue";
  return (value) => {
    if (typeof value !== "number") throw new Unusual();
    return isNull ? null : (schema.value[value]?.jsonName ?? value);
  };
}

function compileScalar(scalar: ScalarType): Write {
  switch (scalar) {
    case ScalarType.BYTES:
      return (value) => {
        if (!(value instanceof Uint8Array)) throw new Unusual();
        return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64");
      };
    case ScalarType.STRING:
      return expect("string");
    case ScalarType.BOOL:
      return expect("boolean");
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return (value) => {
        if (typeof value !== "number") throw new Unusual();
        return Number.isFinite(value) ? value : String(value);
      };
    case ScalarType.INT64:
    case ScalarType.UINT64:
    case ScalarType.SINT64:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
      return (value) => {
        if (typeof value !== "bigint") throw new Unusual();
        return value.toString();
      };
    default:
      return expect("number");
  }
}

function expect(type: "string" | "boolean" | "number"): Write {
  return (value) => {
    if (typeof value !== type) throw new Unusual();
    return value;
  };
}

/** Types with a JSON form of their own. */
function isSpecial({ typeName }: DescMessage): boolean {
  return typeName.startsWith("google.protobuf.");
}
