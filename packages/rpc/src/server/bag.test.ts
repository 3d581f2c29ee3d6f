import { expect, test } from "vitest";
import { Bag } from "./bag.js";

test("a bag holds what was added and not taken out, once", () => {
  const bag = new Bag<{ name: string; bagPlace: number }>();
  const [a, b, c] = ["a", "b", "c"].map((name) => ({ name, bagPlace: -1 }));
  const names = () =>
    bag
      .list()
      .map(({ name }) => name)
      .toSorted((x, y) => (x < y ? -1 : 1))
      .join("");
  for (const thing of [a!, b!, c!, a!]) bag.add(thing);
  expect(names()).toBe("abc");
  bag.delete(a!);
  bag.delete(a!);
  expect(names()).toBe("bc");
  bag.delete(c!);
  bag.add(a!);
  expect(names()).toBe("ab");
  bag.delete(b!);
  bag.delete(a!);
  expect(names()).toBe("");
});
