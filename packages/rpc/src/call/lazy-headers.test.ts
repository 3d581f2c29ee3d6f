import { describe, expect, test } from "vitest";
import { createResponseHeaders, isTouched, toRequestHeaders } from "./lazy-headers.js";

const source = { ":path": "/x", host: "h", "x-one": "1", "set-cookie": ["a=1", "b=2"] };

describe("request headers", () => {
  test("are looked up as Headers look them up", () => {
    const headers = toRequestHeaders(source);
    expect(headers).toBeInstanceOf(Headers);
    expect([headers.has("host"), headers.has("constructor"), headers.get("constructor")]).toEqual([true, false, null]);
    expect([headers.get("x-one"), headers.get("X-One"), headers.get("x-two"), headers.get("set-cookie")]).toEqual([
      "1",
      "1",
      null,
      "a=1, b=2",
    ]);
    expect([headers.has("x-one"), headers.has("X-TWO"), headers.has("constructor")]).toEqual([true, false, false]);
    expect(() => headers.get(":path")).toThrow(TypeError);
    expect(() => headers.get("no name")).toThrow(TypeError);
  });

  test("can be copied, listed and changed", () => {
    const headers = toRequestHeaders(source);
    headers.set("x-two", "2");
    headers.append("x-one", "again");
    headers.delete("host");
    const expected = [
      ["set-cookie", "a=1"],
      ["set-cookie", "b=2"],
      ["x-one", "1, again"],
      ["x-two", "2"],
    ];
    expect([...headers]).toEqual(expected);
    expect([...new Headers(headers)]).toEqual(expected);
    expect(headers.getSetCookie()).toEqual(["a=1", "b=2"]);
    expect([...headers.keys()].length).toBe([...headers.values()].length);
    expect(new Request("http://x", { headers }).headers.get("x-two")).toBe("2");
  });
});

describe("response headers", () => {
  test("are set as Headers set them, with little or much in them", () => {
    const headers = createResponseHeaders();
    const real = new Headers();
    expect(isTouched(headers)).toBe(false);
    const list = () => {
      const seen: string[][] = [];
      headers.forEach((value, name) => void seen.push([name, value]));
      return seen;
    };
    for (const [name, value] of [
      ["x-b", "1"],
      ["x-b", "2"],
      ["X-A", " padded "],
      ["set-cookie", "a=1"],
      ["x-c", ""],
    ] as const) {
      headers.set(name, value);
      real.set(name, value);
      expect([isTouched(headers), list(), [...headers]]).toEqual([true, [...real], [...real]]);
    }
    expect([headers.get("x-b"), headers.has("x-c"), headers.has("x-d")]).toEqual(["2", true, false]);
    headers.delete("x-b");
    headers.append("x-c", "more");
    expect(headers.get("x-b")).toBeNull();
    expect(() => createResponseHeaders().set("x", "line\r\nbreak")).toThrow(TypeError);
    expect(() => createResponseHeaders().set("no name", "")).toThrow(TypeError);
  });
});
