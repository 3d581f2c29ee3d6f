import { expect, test } from "vitest";
import { createRandom } from "../../test/random.js";
import { StreamTable } from "./stream-table.js";

test("it holds what a Map would, whatever comes and goes", () => {
  const random = createRandom(7);
  const table = new StreamTable<{ id: number }>();
  const map = new Map<number, { id: number }>();
  for (let round = 0; round < 20_000; round++) {
    const id = 1 + 2 * random(400);
    if (map.has(id) ? random(2) === 0 : random(3) === 0) expect(table.delete(id)).toBe(map.delete(id));
    else if (!map.has(id)) {
      const stream = { id };
      map.set(id, stream);
      table.add(stream);
    }
    expect(table.get(id)).toBe(map.get(id));
    expect(table.size).toBe(map.size);
  }
  expect(table.values().sort((a, b) => a.id - b.id)).toEqual([...map.values()].sort((a, b) => a.id - b.id));
});
