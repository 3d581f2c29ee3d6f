import { expect, test } from "vitest";
import { eventually } from "../../test/eventually.js";
import { createWatch, type Watched } from "./watch.js";

test("what is watched expires once, in its time, and what was taken out never does", async () => {
  const watch = createWatch(5);
  const expired: number[] = [];
  const items = Array.from({ length: 50 }, (_, index): Watched => {
    return { watchedUntil: 0, bagPlace: -1, expire: () => void expired.push(index) };
  });
  items.forEach((item, index) => {
    watch.add(item, index % 2 === 0 ? 10 : 60_000);
  });
  for (const item of items.slice(0, 10)) watch.delete(item);
  for (const item of items.slice(0, 10)) watch.delete(item);
  await eventually(() => expired.length >= 20, "that they expire");
  expect(expired.toSorted((a, b) => a - b)).toEqual(
    items.map((_, index) => index).filter((index) => index >= 10 && index % 2 === 0),
  );
  watch.close();
});
