import { describe, expect, it } from "vitest";
import { LastRead } from "./last-read.js";

describe("LastRead", () => {
  it("finds what was set where the same bytes are, and only there", () => {
    const last = new LastRead<string>();
    expect(last.find(Buffer.from(""), 0)).toBeUndefined();
    last.set(Buffer.from("..head.."), 2, 6, "a head");
    expect(last.find(Buffer.from("head"), 0)).toBe("a head");
    expect(last.find(Buffer.from("xheadx"), 1)).toBe("a head");
    expect(last.find(Buffer.from("heap"), 0)).toBeUndefined();
    expect(last.find(Buffer.from("hea"), 0)).toBeUndefined();
  });

  it("forgets what it was, whether the next is shorter or longer, and keeps no view of what it was given", () => {
    const last = new LastRead<number>();
    const given = Buffer.from("first");
    last.set(given, 0, 5, 1);
    given.fill("x");
    expect(last.find(Buffer.from("first"), 0)).toBe(1);
    last.set(Buffer.from("two"), 0, 3, 2);
    expect(last.find(Buffer.from("first"), 0)).toBeUndefined();
    expect(last.find(Buffer.from("twost"), 0)).toBe(2);
    const long = Buffer.alloc(1000, "l");
    last.set(long, 0, long.length, 3);
    expect(last.find(long, 0)).toBe(3);
    expect(last.find(long.subarray(1), 0)).toBeUndefined();
  });
});
