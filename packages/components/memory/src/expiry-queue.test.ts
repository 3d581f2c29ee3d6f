import { expect, test } from "vitest";
import { type Expiring, ExpiryQueue } from "./expiry-queue.js";

test("what expires first comes first, whatever was added and removed before", () => {
  const queue = new ExpiryQueue<Expiring>();
  const entries = Array.from({ length: 1_000 }, (_, index) => ({ expireTime: (index * 7_919) % 500, queueIndex: -1 }));
  for (const entry of entries) queue.add(entry);
  const removed = new Set(entries.filter((_, index) => index % 3 === 0));
  for (const entry of removed) queue.remove(entry);
  const left = entries.filter((entry) => !removed.has(entry)).map(({ expireTime }) => expireTime);
  const popped: number[] = [];
  for (let first = queue.first; first !== undefined; first = queue.first) {
    popped.push(first.expireTime);
    queue.remove(first);
  }
  expect(popped).toEqual(left.sort((a, b) => a - b));
});
