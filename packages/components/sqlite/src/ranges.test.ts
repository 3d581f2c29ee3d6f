import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { type KeyRange, rangeAfter, rangeOfKey, rangeOfPrefix } from "./ranges.js";

const db = new DatabaseSync(":memory:");
db.exec("CREATE TABLE item (key TEXT PRIMARY KEY) STRICT, WITHOUT ROWID");
// On both sides of every border: of ASCII, of the surrogates' gap, of the last code point; and where UTF-16 sorts otherwise than UTF-8.
const points = ["a", "b", "\u007f", "\u0080", "\ud7ff", "\ue000", "\uffff", "\u{10000}", "\u{10ffff}"];
const all = points.flatMap((first) => [first, ...points.map((second) => first + second)]);
const insert = db.prepare("INSERT INTO item (key) VALUES (?)");
for (const key of all) insert.run(key);

function select({ from, to }: KeyRange): string[] {
  const rows = db.prepare("SELECT key FROM item WHERE key >= ? AND key < ? ORDER BY key").all(from, to);
  return rows.map(({ key }) => String(key));
}

const sorted = (keys: string[]) => keys.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));

test("a prefix is every key that begins with it, whatever its last character", () => {
  for (const prefix of ["", ...all]) {
    const expected = sorted(all.filter((key) => key.startsWith(prefix)));
    expect(select(rangeOfPrefix(prefix))).toEqual(expected);
    expect(sorted(all.filter(rangeOfPrefix(prefix).has))).toEqual(expected);
  }
});

test("a key is itself alone", () => {
  for (const key of all) expect(select(rangeOfKey(key))).toEqual([key]);
});

test("what comes after a key is the rest of the range, in the order of bytes", () => {
  for (const prefix of ["", "a", "\u{10ffff}"]) {
    const range = rangeOfPrefix(prefix);
    const inRange = select(range);
    for (const [index, key] of inRange.entries()) {
      expect(select(rangeAfter(range, key))).toEqual(inRange.slice(index + 1));
    }
    expect(select(rangeAfter(range, undefined))).toEqual(inRange);
    expect(select(rangeAfter(range, ""))).toEqual(inRange);
  }
});
