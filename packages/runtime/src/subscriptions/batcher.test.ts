import { createManualClock } from "@mecha/component/conformance";
import { expect, it } from "vitest";
import { type BatcherOptions, createBatcher } from "./batcher.js";

/** A batcher of texts, whose sends end when the test says so. */
function setUp(options: Partial<BatcherOptions<string>> = {}) {
  const sent: [path: string, ...items: string[]][] = [];
  const sending: (() => void)[] = [];
  const clock = createManualClock();
  const batcher = createBatcher<string>({
    maxItems: 3,
    maxBytes: 100,
    maxWaitMs: 0,
    concurrency: 1,
    clock,
    sizeOf: (item) => item.length,
    isAlone: (item) => item.startsWith("!"),
    send(path, items) {
      sent.push([path, ...items]);
      return new Promise((resolve) => sending.push(resolve));
    },
    ...options,
  });
  const add = (path: string, ...items: string[]) => {
    for (const item of items) batcher.add(path, item);
  };
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  const finish = async () => {
    sending.shift()?.();
    await settled();
  };
  return { batcher, clock, sent, add, finish, settled };
}

it("sends no more batches at a time than it may; what waits gathers by its path", async () => {
  const { sent, add, finish, settled } = setUp();
  add("/a", "1");
  await settled();
  add("/a", "2");
  add("/b", "3");
  add("/a", "4");
  await settled();
  expect(sent).toEqual([["/a", "1"]]);
  await finish();
  expect(sent.slice(1)).toEqual([["/a", "2", "4"]]);
  await finish();
  expect(sent.slice(2)).toEqual([["/b", "3"]]);
});

it("keeps batches within their sizes, but takes one item whatever its size", async () => {
  const { sent, add, settled } = setUp({ concurrency: 10, maxBytes: 5 });
  add("/a", "1", "2", "3", "4", "55555", "666666");
  await settled();
  expect(sent).toEqual([
    ["/a", "1", "2", "3"],
    ["/a", "4"],
    ["/a", "55555"],
    ["/a", "666666"],
  ]);
});

it("sends what must go alone alone", async () => {
  const { sent, add, settled } = setUp({ concurrency: 10 });
  add("/a", "1", "!2", "3");
  await settled();
  expect(sent).toEqual([
    ["/a", "1", "3"],
    ["/a", "!2"],
  ]);
});

it("lets a batch wait to be filled for as long as it may", async () => {
  const { sent, add, clock, settled } = setUp({ maxWaitMs: 100 });
  add("/a", "1");
  await clock.advance(99);
  add("/a", "2");
  await settled();
  expect(sent).toEqual([]);
  await clock.advance(1);
  expect(sent).toEqual([["/a", "1", "2"]]);
});

it("says when there is room, and gives back what it did not begin to send", async () => {
  const { batcher, sent, add, finish, settled } = setUp();
  add("/a", "1");
  await settled();
  let hasRoom = false;
  const room = Promise.resolve(batcher.room()).then(() => {
    hasRoom = true;
  });
  add("/a", "2", "3");
  await settled();
  expect(hasRoom).toBe(false);
  expect(batcher.clear()).toEqual(["2", "3"]);
  await finish();
  await room;
  expect(sent).toEqual([["/a", "1"]]);
});
