import { create, type JsonObject, toJsonString } from "@bufbuild/protobuf";
import { anyPack, TimestampSchema, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import {
  Colour,
  EchoRequestSchema,
  EchoResponseSchema,
  type Everything,
  EverythingSchema,
} from "../../test/gen/echo_pb.js";
import { createJsonWriter } from "./json-writer.js";

const bytes = Uint8Array.of(0, 1, 2, 250, 251, 252, 253, 254, 255);
const full = create(EverythingSchema, {
  doubleValue: 1.5,
  floatValue: Number.NaN,
  int32Value: -1,
  int64Value: -(2n ** 63n),
  uint32Value: 2 ** 32 - 1,
  uint64Value: 2n ** 64n - 1n,
  sint64Value: 5n,
  fixed64Value: 6n,
  boolValue: true,
  stringValue: 'quotes " and \u2028 ünïcode',
  bytesValue: bytes,
  colour: Colour.RED,
  optionalInt32: 0,
  optionalString: "",
  optionalBytes: new Uint8Array(),
  child: { stringValue: "child", child: {} },
  int32List: [1, 0, -1],
  int64List: [0n, 1n],
  stringList: ["", "a"],
  bytesList: [bytes, new Uint8Array()],
  colourList: [Colour.GREEN, 77 as Colour],
  childList: [{}, { bytesValue: bytes }],
  int32Map: { b: 2, a: 0, "10": 1, "9": 3 },
  stringMap: { "-5": "x", "7": "y" },
  bytesMap: { true: bytes },
  childMap: { k: { bytesValue: bytes } },
  colourMap: { c: Colour.UNSPECIFIED },
  timestamp: timestampFromMs(1_700_000_000_123),
  duration: { seconds: 3n, nanos: 5_000_000 },
  struct: { a: [1, null, { b: "c" }] } as JsonObject,
  value: { kind: { case: "numberValue", value: 4 } },
  wrappedInt64: 12n,
  wrappedBytes: bytes,
  timestampList: [timestampFromMs(0)],
  renamed: "x",
});

describe("the JSON writer", () => {
  const choices: [string, Everything["choice"]][] = [
    ["nothing chosen", { case: undefined }],
    ["a zero chosen", { case: "choiceInt32", value: 0 }],
    ["a string chosen", { case: "choiceString", value: "s" }],
    ["a message chosen", { case: "choiceChild", value: create(EverythingSchema, { bytesValue: bytes }) }],
    ["an enum chosen", { case: "choiceColour", value: Colour.RED }],
    [
      "null chosen",
      { case: "choiceValue", value: { $typeName: "google.protobuf.Value", kind: { case: "nullValue", value: 0 } } },
    ],
  ];
  test.each(choices)("writes every kind of field as protobuf-es does: %s", (_name, choice) => {
    const write = createJsonWriter(EverythingSchema);
    for (const message of [{ ...full, choice }, create(EverythingSchema, { choice })]) {
      expect(write?.(message)).toBe(toJsonString(EverythingSchema, message));
    }
  });

  test("infinities, and maps with a key that reaches for a prototype", () => {
    const write = createJsonWriter(EverythingSchema);
    const message = create(EverythingSchema, {
      doubleValue: Number.POSITIVE_INFINITY,
      floatValue: Number.NEGATIVE_INFINITY,
    });
    Object.defineProperty(message.int32Map, "__proto__", {
      value: 1,
      enumerable: true,
      configurable: true,
      writable: true,
    });
    expect(write?.(message)).toBe(toJsonString(EverythingSchema, message));
    expect(write?.(message)).toContain('"__proto__":1');
  });

  test("a value that protobuf-es refuses is refused in its words", () => {
    const write = createJsonWriter(EchoResponseSchema);
    const message = create(EchoResponseSchema, { text: 5 as unknown as string });
    expect(() => write?.(message)).toThrow(/expected string/);
    const other = create(EchoRequestSchema) as never;
    expect(() => write?.(other)).toThrow(/cannot use/);
    const packed = create(EchoResponseSchema, {
      everything: { any: anyPack(EchoRequestSchema, create(EchoRequestSchema)) },
    });
    expect(() => write?.(packed)).toThrow(/registry/);
  });

  test("a type without bytes is left to protobuf-es", () => {
    expect(createJsonWriter(TimestampSchema)).toBeUndefined();
  });
});
