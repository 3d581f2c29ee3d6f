import { describe, expect, test } from "vitest";
import { toRequestHeaders } from "./request-headers.js";

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
