import { expect, test } from "vitest";
import { HeldBytes } from "./held-bytes.js";

test("bytes come back in order, whatever pieces they came in, and as copies", () => {
  const held = new HeldBytes();
  const all = Buffer.from(Array.from({ length: 100_000 }, (_, index) => index * 7));
  const source = Buffer.from(all);
  let at = 0;
  for (const size of [1, 2, 16_383, 16_384, 40_000, 0, 27_230]) {
    held.add(source.subarray(at, at + size));
    at += size;
  }
  expect(at).toBe(all.length);
  source.fill(0);
  const parts: Buffer[] = [];
  for (let part = held.take(); part !== undefined; part = held.take()) parts.push(part);
  expect(Buffer.concat(parts).equals(all)).toBe(true);
  held.add(all);
  held.clear();
  expect(held.take()).toBe(undefined);
});
