import assert from "node:assert/strict";
import { alongside } from "./expect.js";
import type { CaseDefinition } from "./kit.js";
import { remove, set } from "./session.js";

/** Reading and writing one key, and what a key and a value are. */
export const itemCases: CaseDefinition[] = [
  {
    name: "items: an absent key is undefined, and nothing to delete",
    async run(kit) {
      const state = await kit.open();
      assert.equal(await state.get("nothing"), undefined);
      assert.equal(await state.delete("nothing"), false);
      assert.deepEqual(await state.getMany(["nothing", "nothing-else"]), []);
      assert.deepEqual(await state.list(), { items: [], more: false });
    },
  },
  {
    name: "items: what is written comes back, byte by byte",
    async run(kit) {
      const state = await kit.open();
      const value = Uint8Array.from({ length: 256 }, (_, byte) => byte);
      const etag = await state.set("bytes", value, { contentType: "application/x-all; v=1" });
      const item = await state.item("bytes");
      assert.deepEqual(Buffer.from(item.value), Buffer.from(value));
      assert.deepEqual(
        { ...item, value: undefined, updateTime: undefined },
        {
          key: "bytes",
          value: undefined,
          contentType: "application/x-all; v=1",
          etag,
          expireTime: undefined,
          updateTime: undefined,
        },
      );
      assert(Number.isInteger(item.updateTime) && item.updateTime > 0, "updateTime is in whole ms");
    },
  },
  {
    name: "items: an empty value is a value",
    async run(kit) {
      const state = await kit.open();
      await state.set("empty", "", { contentType: "text/plain" });
      const { value, contentType } = await state.item("empty");
      assert.equal(value.byteLength, 0);
      assert.equal(contentType, "text/plain");
      assert.deepEqual(
        (await state.getMany(["empty"])).map(({ key }) => key),
        ["empty"],
      );
      assert.deepEqual(await state.keys(), ["empty"]);
      assert.equal(await state.delete("empty"), true);
      assert.equal(await state.get("empty"), undefined);
    },
  },
  {
    name: "items: the last write wins, and a deleted key is absent",
    async run(kit) {
      const state = await kit.open();
      await state.set("key", "one");
      const first = await state.item("key");
      await state.set("key", "two", { contentType: "text/html" });
      const second = await state.item("key");
      assert.equal(await state.text("key"), "two");
      assert.equal(second.contentType, "text/html");
      assert(second.updateTime >= first.updateTime);
      assert.equal(await state.delete("key"), true);
      assert.equal(await state.get("key"), undefined);
      assert.equal(await state.delete("key"), false);
    },
  },
  {
    name: "items: keys are told apart byte by byte",
    async run(kit) {
      const state = await kit.open();
      // Case, Unicode normalisation, trailing blanks, wildcards, control characters and names that JavaScript knows.
      const keys = [
        "a",
        "A",
        "é",
        "e\u0301",
        "a ",
        " a",
        "a\n",
        "a\u0001",
        "%",
        "_",
        "*",
        "\\",
        "'",
        '"',
        "a/b",
        "a//b",
      ];
      keys.push(
        "..",
        "__proto__",
        "constructor",
        "toString",
        "\uffff",
        "\u{10000}",
        "\u{10ffff}",
        "{a}",
        "{a}:b",
        "a:b",
      );
      for (const key of keys) await state.set(key, key);
      for (const key of keys) assert.equal(await state.text(key), key);
      const many = await state.getMany(keys);
      assert.deepEqual(
        many.map(({ key }) => key),
        keys,
      );
      for (const key of keys) assert.equal(await state.delete(key), true, `${JSON.stringify(key)} is there to delete`);
      assert.deepEqual(await state.keys(), []);
    },
  },
  {
    name: "items: getMany answers in the order asked and leaves out what is absent",
    async run(kit) {
      const state = await kit.open();
      for (const key of ["a", "b", "c"]) await state.set(key, key.toUpperCase());
      const items = await state.getMany(["c", "none", "a", "b"]);
      assert.deepEqual(
        items.map(({ key, value }) => [key, Buffer.from(value).toString()]),
        [
          ["c", "C"],
          ["a", "A"],
          ["b", "B"],
        ],
      );
      assert.equal(items[1]?.etag, (await state.item("a")).etag);
    },
  },
  {
    name: "items: getMany is one snapshot",
    feature: "TRANSACT",
    async run(kit) {
      const [writer, reader] = await kit.pair();
      const keys = ["a", "b", "c", "d"];
      const write = (value: string) => writer.write(keys.map((key) => set(key, value)));
      await write("0");
      const writes = async (over: () => boolean) => {
        for (let round = 1; !over(); round++) {
          await write(String(round));
          await new Promise(setImmediate);
        }
      };
      await alongside(writes, async () => {
        for (let reads = 0; reads < 60; reads++) {
          const values = (await reader.getMany(keys)).map(({ value }) => Buffer.from(value).toString());
          assert.equal(values.length, keys.length);
          assert.equal(new Set(values).size, 1, `getMany mixed the states ${values}`);
          await new Promise(setImmediate);
        }
      });
    },
  },
  {
    name: "items: a keyspace sees nothing of another one",
    async run(kit) {
      const component = await kit.component();
      // Each is a prefix of another one, or would match another one as a pattern.
      const names = ["", "/", "/a", "/a_b", "/axb", "/a.b", "/a/b", "/a-b"];
      const spaces = names.map((name) => kit.session(component, `${kit.keyspace}${name}`));
      for (const [index, space] of spaces.entries()) {
        await space.set("key", String(index));
        await space.set(`only-${index}`, "");
      }
      for (const [index, space] of spaces.entries()) {
        assert.equal(await space.text("key"), String(index));
        assert.deepEqual(await space.keys(), ["key", `only-${index}`]);
        assert.equal((await space.getMany(spaces.map((_, other) => `only-${other}`))).length, 1);
      }
      await spaces[0]?.write([remove("key")]);
      for (const [index, space] of spaces.slice(1).entries()) assert.equal(await space.text("key"), String(index + 1));
    },
  },
];
