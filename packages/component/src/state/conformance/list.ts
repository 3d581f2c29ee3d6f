import assert from "node:assert/strict";
import type { CaseDefinition } from "./kit.js";
import type { StateSession } from "./session.js";

const byBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** Keys on both sides of every place where another order than that of UTF-8's bytes would differ. */
const orderedKeys = [
  "\u0001", " ", "!", "%", "*", "-", "/", "0", "10", "2", "A", "B", "Z", "[", "\\", "]", "_", "a", "a ", "a!", "a-b", "a/b",
  "a0", "aA", "aa", "ab", "b", "z", "~", "\u007f", "\u0080", "\u00e4", "\u00e9", "e\u0301", "\u07ff", "\u0800", "\u4e2d", "\ud7ff", "\ue000",
  "\ufeff", "\ufffd", "\uffff", "\uffffa", "\u{10000}", "\u{10000}a", "\u{1f600}", "\u{10ffff}", "\u{10ffff}\u{10ffff}",
].sort(byBytes); // biome-ignore format: a table of characters

async function fill(state: StateSession, keys: Iterable<string>, value: string | Uint8Array = "v"): Promise<void> {
  for (const key of keys) await state.set(key, value);
}

const numbered = (count: number, prefix = "") =>
  Array.from({ length: count }, (_, index) => `${prefix}${String(index).padStart(4, "0")}`);

/** Order, prefixes and paging. */
export const listCases: CaseDefinition[] = [
  {
    name: "list: keys come in the byte order of their UTF-8",
    async run(kit) {
      const state = await kit.open();
      // Written in an order that is neither this one nor its reverse.
      await fill(
        state,
        orderedKeys.map((_, index) => orderedKeys[(index * 17) % orderedKeys.length] ?? ""),
      );
      assert.deepEqual(await state.keys(), orderedKeys);
      for (const limit of [1, 2, 7]) assert.deepEqual(await state.keys("", limit), orderedKeys, `in pages of ${limit}`);
    },
  },
  {
    name: "list: a prefix is bytes, not a pattern",
    async run(kit) {
      const state = await kit.open();
      const prefixes = [
        "%",
        "_",
        "*",
        "?",
        "\\",
        "[",
        "[a-z]",
        "'",
        '"',
        "a%",
        "a_",
        "a*",
        "a\\",
        "a",
        "p\uffff",
        "p\u{10ffff}",
        "\u{10ffff}",
        "~",
        "\u00e9",
      ];
      const keys = prefixes.flatMap((prefix) => [prefix, `${prefix}x`, `${prefix}\u0001`, `${prefix}\u{10ffff}`]);
      const all = [...new Set([...keys, "b", "ab", "abc", "x", "q", "p"])].sort(byBytes);
      await fill(state, all);
      for (const prefix of [...prefixes, "", "none"]) {
        const expected = all.filter((key) => key.startsWith(prefix));
        assert.deepEqual(await state.keys(prefix, 3), expected, `by the prefix ${JSON.stringify(prefix)}`);
      }
    },
  },
  {
    name: "list: goes on after a key, whether it is there or not",
    async run(kit) {
      const state = await kit.open();
      await fill(state, ["a", "p/a", "p/b", "p/d", "q"]);
      const after = async (key: string, prefix = "p/") =>
        (await state.list({ prefix, after: key })).items.map((item) => item.key);
      assert.deepEqual(await after("p/a"), ["p/b", "p/d"]);
      assert.deepEqual(await after("p/c"), ["p/d"]);
      assert.deepEqual(await after("p/d"), []);
      assert.deepEqual(await after("a"), ["p/a", "p/b", "p/d"], "after a key before the prefix");
      assert.deepEqual(await after("z"), [], "after a key behind the prefix");
      assert.deepEqual(await after("p/", ""), ["p/a", "p/b", "p/d", "q"]);
    },
  },
  {
    name: "list: a page says whether another may follow",
    async run(kit) {
      const state = await kit.open();
      const keys = numbered(10);
      await fill(state, keys);
      const first = await state.list({ limit: 4 });
      assert.deepEqual(
        first.items.map(({ key }) => key),
        keys.slice(0, 4),
      );
      assert.equal(first.more, true);
      assert.equal((await state.list({ limit: 11 })).more, false);
      assert.equal((await state.list({ after: "0005", limit: 100 })).more, false);
      assert.equal((await state.list({ prefix: "none" })).more, false);
    },
  },
  {
    name: "list: a page ends at its limit of bytes, but holds one item",
    async run(kit) {
      const state = await kit.open();
      const keys = numbered(6);
      await fill(state, keys, new Uint8Array(1000));
      const page = async (maxBytes: number, after?: string) => {
        const { items, more } = await state.list({ maxBytes, ...(after !== undefined && { after }) });
        return { keys: items.map(({ key }) => key), more };
      };
      assert.deepEqual(await page(3000), { keys: keys.slice(0, 3), more: true }, "three values fit to the byte");
      assert.deepEqual(await page(2999), { keys: keys.slice(0, 2), more: true });
      assert.deepEqual(await page(1), { keys: keys.slice(0, 1), more: true }, "a value above the limit comes alone");
      assert.deepEqual(await page(3000, "0002"), { keys: keys.slice(3), more: false });
      await state.set("0001", new Uint8Array(2500));
      assert.deepEqual(await page(3000), { keys: ["0000"], more: true });
      assert.deepEqual(await page(3000, "0000"), { keys: ["0001"], more: true });
    },
  },
  {
    name: "list: keysOnly leaves out values, and their bytes do not count",
    async run(kit) {
      const state = await kit.open();
      const keys = numbered(5);
      await fill(state, keys, new Uint8Array(1000));
      const { items, more } = await state.list({ keysOnly: true, maxBytes: 1500 });
      assert.deepEqual(
        items.map(({ key }) => key),
        keys,
      );
      assert.equal(more, false);
      for (const item of items) {
        assert.equal(item.value.byteLength, 0);
        const { etag, contentType, updateTime } = await state.item(item.key);
        assert.deepEqual([item.etag, item.contentType, item.updateTime], [etag, contentType, updateTime]);
      }
    },
  },
  {
    name: "list: while others write no key comes twice and no untouched key is skipped",
    async run(kit) {
      const [state, other] = await kit.pair();
      const untouched = numbered(60, "u");
      const before = numbered(20, "a");
      const between = untouched.filter((_, index) => index % 5 === 0).map((key) => `${key}-x`);
      await fill(state, [...untouched, ...before, ...between]);
      let pages = 0;
      // What is listed already shrinks, then grows; what is not comes and goes.
      const disturb = async () => {
        pages++;
        const listed =
          pages % 2 === 1
            ? before.splice(0, 3).map((key) => other.delete(key))
            : [1, 2, 3].map((n) => other.set(`0-${pages}-${n}`));
        await Promise.all([...listed, other.delete(between.pop() ?? "none"), other.set(`u0059-${pages}`)]);
      };
      const keys = (await state.listAll("", { limit: 7, between: disturb })).map(({ key }) => key);
      assert(pages > 5, "pages were disturbed");
      assert.equal(new Set(keys).size, keys.length, "a key was listed twice");
      assert.deepEqual(
        keys.filter((key) => untouched.includes(key)),
        untouched,
      );
      assert.deepEqual(keys, keys.toSorted(byBytes));
    },
  },
];
