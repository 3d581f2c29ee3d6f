import { describe, expect, it } from "vitest";
import { preview, readValue, toJsonFields } from "./value.js";

const value = (text: string | Uint8Array, contentType: string) => ({ value: Buffer.from(text), contentType });

describe("the media type of a value on the command line", () => {
  it.each([
    ["42", "application/json"],
    ['{"a": [1]}', "application/json"],
    ["hello", "text/plain; charset=utf-8"],
    ["", "text/plain; charset=utf-8"],
  ])("of %j is %s", async (argument, contentType) => {
    expect(await readValue(argument, undefined, undefined)).toEqual(value(argument, contentType));
  });

  it("is the one that is asked for", async () => {
    expect(await readValue("42", undefined, "text/csv")).toEqual(value("42", "text/csv"));
  });

  it("refuses two values at once", async () => {
    await expect(readValue("42", "file", undefined)).rejects.toThrow("leave one out");
  });
});

describe("a value in JSON output", () => {
  it.each([
    [value('{"a":1}', "application/json"), { value: { a: 1 } }],
    [value('{"a":1}', "application/vnd.shop+json; charset=utf-8"), { value: { a: 1 } }],
    [value("hello", "text/plain"), { value: "hello" }],
    [value("hello", "application/octet-stream"), { valueBase64: "aGVsbG8=" }],
    [value("{", "application/json"), { valueBase64: "ew==" }],
    [value(Uint8Array.of(0xff), "text/plain"), { valueBase64: "/w==" }],
  ])("of %o is %o", (stored, expected) => {
    expect(toJsonFields(stored)).toEqual(expected);
  });
});

describe("a value in a list for people", () => {
  it("is one line, whatever stands in it", () => {
    expect(preview(value("a\nb\u001b[31mc", "text/plain"), 80)).toBe("a b [31mc");
  });

  it("is cut to fit", () => {
    expect(preview(value("x".repeat(100), "text/plain"), 10)).toBe(`${"x".repeat(9)}…`);
  });

  it("names what cannot be shown", () => {
    expect(preview(value("", "text/plain"), 80)).toBe("(empty)");
    expect(preview(value("abc", "image/png"), 80)).toBe("(3 bytes)");
  });
});
