import { create, fromBinary, isMessage } from "@bufbuild/protobuf";
import { ItemSchema, ListRequestSchema } from "@mecha/api/state";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { codecOf, plainCodec } from "./codec.js";

const bytes = (text: string) => new TextEncoder().encode(text);
const encodedAs = (contentType: string, text: string) => ({ contentType, value: bytes(text) });

describe("plainCodec", () => {
  it.each([
    ["an object", { total: 42, lines: [1, 2] }],
    ["an array", [1, "two", null]],
    ["a string", "grüße"],
    ["a number", 0],
    ["false", false],
    ["null", null],
    ["an object without a prototype", Object.assign(Object.create(null), { a: 1 })],
  ])("stores %s as JSON and reads it back", async (_name, value) => {
    const encoded = await plainCodec.encode(value, "it");
    expect(encoded.contentType).toBe("application/json");
    expect(await plainCodec.decode(encoded, "it")).toEqual(value);
  });

  it("stores bytes as they are, and no bytes at all as no bytes at all", async () => {
    for (const value of [new Uint8Array([0, 255, 7]), new Uint8Array()]) {
      const encoded = await plainCodec.encode(value, "it");
      expect(encoded.contentType).toBe("application/octet-stream");
      expect(await plainCodec.decode(encoded, "it")).toEqual(value);
    }
  });

  it.each([
    ["application/json; charset=utf-8", '{"a":1}', { a: 1 }],
    ["application/vnd.api+json", "[1]", [1]],
    ["text/plain; charset=utf-8", "42", "42"],
    ["application/octet-stream", '{"a":1}', bytes('{"a":1}')],
    ["", "1", bytes("1")],
    ["image/png", "1", bytes("1")],
  ])("reads %j by its content type, never by its bytes", async (contentType, text, value) => {
    expect(await plainCodec.decode(encodedAs(contentType, text), "it")).toEqual(value);
  });

  it.each([
    ["undefined", undefined],
    ["a function", () => 1],
    ["a bigint", { n: 1n }],
    ["a Map", new Map([["a", 1]])],
    ["a Set", new Set([1])],
    ["a promise nobody awaited", Promise.resolve(1)],
    ["an ArrayBuffer", new ArrayBuffer(2)],
    ["another typed array", new Float64Array([1])],
    [
      "an object that contains itself",
      (() => {
        const a: { a?: object } = {};
        a.a = a;
        return a;
      })(),
    ],
    ["a protobuf message without its schema", create(ItemSchema, { key: "a" })],
  ])("refuses %s instead of storing something else", (_name, value) => {
    expect(() => plainCodec.encode(value, 'the value of "k"')).toThrow(
      expect.objectContaining({
        code: "invalid_argument",
        reason: "BAD_REQUEST",
        message: expect.stringContaining('"k"'),
      }),
    );
  });

  it("says whose value is not what its content type claims", () => {
    expect(() => plainCodec.decode(encodedAs("application/json", "{"), 'the value of "k"')).toThrow(
      expect.objectContaining({
        reason: "INVALID_VALUE",
        message: 'the value of "k" is stored as application/json and is none',
      }),
    );
    const notUtf8 = { contentType: "text/plain", value: new Uint8Array([0xff]) };
    expect(() => plainCodec.decode(notUtf8, "it")).toThrow(expect.objectContaining({ reason: "INVALID_VALUE" }));
  });
});

describe("codecOf a Standard Schema", () => {
  const schema = z.object({
    total: z.number().min(0),
    lines: z.array(z.object({ price: z.number() })).default([]),
    at: z.coerce.date().optional(),
  });
  const codec = codecOf(schema);

  it("stores what the schema gives: defaults filled in, unknown fields gone", async () => {
    const value = { total: 1, password: "x" };
    const { value: stored, contentType } = await codec.encode(value, "it");
    expect(contentType).toBe("application/json");
    expect(JSON.parse(new TextDecoder().decode(stored))).toEqual({ total: 1, lines: [] });
  });

  it("reads what it stored, dates included", async () => {
    const at = new Date("2026-11-20T00:00:00Z");
    expect(await codec.decode(await codec.encode({ total: 1, at }, "it"), "it")).toEqual({ total: 1, lines: [], at });
  });

  it("refuses to write what does not fit, naming every field", async () => {
    const value = { total: -1, lines: [{ price: 1 }, { price: "2" }] };
    await expect(codec.encode(value as z.input<typeof schema>, 'the value of "k"')).rejects.toMatchObject({
      code: "invalid_argument",
      reason: "BAD_REQUEST",
      message: expect.stringMatching(/^the value of "k": total: .*; lines\[1\]\.price: /),
      violations: [{ field: "total" }, { field: "lines[1].price" }],
    });
  });

  it("refuses to read what does not fit", async () => {
    await expect(codec.decode(encodedAs("application/json", '{"total":"1"}'), "it")).rejects.toMatchObject({
      code: "failed_precondition",
      reason: "INVALID_VALUE",
      violations: [{ field: "total" }],
    });
  });
});

describe("codecOf a protobuf message", () => {
  const codec = codecOf(ItemSchema);

  it("stores a message, or its fields, as protobuf that names its type", async () => {
    for (const value of [create(ItemSchema, { key: "a", etag: "1" }), { key: "a", etag: "1" }]) {
      const encoded = await codec.encode(value, "it");
      expect(encoded.contentType).toBe('application/protobuf; messageType="mecha.state.v1.Item"');
      expect(fromBinary(ItemSchema, encoded.value).etag).toBe("1");
      expect(isMessage(await codec.decode(encoded, "it"), ItemSchema)).toBe(true);
    }
  });

  it("reads its JSON too, where the content type says so", async () => {
    const item = await codec.decode(encodedAs("application/json", '{"key":"a","contentType":"x","newField":1}'), "it");
    expect(item).toMatchObject({ key: "a", contentType: "x" });
  });

  it.each([
    ["another message", 'application/protobuf; messageType="shop.Order"', ""],
    ["bytes", "application/octet-stream", "a"],
    ["broken protobuf", "application/protobuf", "\x0a\xff"],
    ["broken JSON", "application/json", "{"],
  ])("refuses to read %s", (_name, contentType, text) => {
    expect(() => codec.decode(encodedAs(contentType, text), "it")).toThrow(
      expect.objectContaining({ code: "failed_precondition", reason: "INVALID_VALUE" }),
    );
  });

  it("refuses to write what is no such message", () => {
    expect(() => codecOf(ListRequestSchema).encode({ pageSize: 1.5 }, "it")).toThrow(
      expect.objectContaining({ code: "invalid_argument", reason: "BAD_REQUEST" }),
    );
  });
});
