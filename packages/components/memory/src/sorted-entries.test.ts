import { expect, test } from "vitest";
import { orderOf, SortedEntries } from "./sorted-entries.js";

/** Numbers that look random and are the same in every run. */
function* numbers(seed: number): Generator<number, never, undefined> {
  for (let value = seed; ; ) {
    value = (Math.imul(value, 1_664_525) + 1_013_904_223) >>> 0;
    yield value >>> 8;
  }
}

test("thousands of entries that come and go stay in order, from any place on", () => {
  const entries = new SortedEntries<{ order: string }>();
  const present = new Map<string, { order: string }>();
  const random = numbers(1);
  for (let round = 0; round < 20_000; round++) {
    const order = String(random.next().value % 5_000);
    const found = present.get(order);
    if (found === undefined) {
      const entry = { order };
      present.set(order, entry);
      entries.add(entry);
    } else if (round % 3 !== 0) {
      present.delete(order);
      entries.remove(found);
    }
  }
  const sorted = [...present.keys()].sort((a, b) => (a < b ? -1 : 1));
  expect([...entries.from("")].map(({ order }) => order)).toEqual(sorted);
  for (const from of ["0", "2500", "25000", "4999", "9", "x"]) {
    expect([...entries.from(from)].map(({ order }) => order)).toEqual(sorted.filter((order) => order >= from));
  }
  for (const entry of present.values()) entries.remove(entry);
  expect([...entries.from("")]).toEqual([]);
});

test("JavaScript orders orderOf as UTF-8 orders the key", () => {
  const characters = [
    "",
    "\u0001",
    "a",
    "\u007f",
    "\u0080",
    "\ud7ff",
    "\ue000",
    "\uffff",
    "\u{10000}",
    "\u{1f600}",
    "\u{10ffff}",
  ];
  const keys = characters.flatMap((first) =>
    characters.flatMap((second) => characters.map((third) => first + second + third)),
  );
  const sign = (difference: number) => Math.sign(difference);
  for (const [index, a] of keys.entries()) {
    const b = keys[(index * 7_919) % keys.length]!;
    const expected = sign(Buffer.compare(Buffer.from(a), Buffer.from(b)));
    expect(orderOf(a) < orderOf(b) ? -1 : orderOf(a) === orderOf(b) ? 0 : 1).toBe(expected);
    expect(orderOf(a + b).startsWith(orderOf(a))).toBe(true);
  }
});
