import assert from "node:assert/strict";
import { stateLimits } from "../features.js";
import { refused } from "./expect.js";
import type { CaseDefinition } from "./kit.js";
import { set } from "./session.js";

/** Bytes that neither compress nor repeat within a page. */
function noise(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let index = 0, seed = length; index < length; index++) {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[index] = seed >>> 24;
  }
  return bytes;
}

const same = (actual: Uint8Array, expected: Uint8Array) =>
  assert(Buffer.compare(actual, expected) === 0, `${expected.byteLength} bytes did not come back as they were written`);

/** What a store must take, to the byte. What is above a limit the runtime refuses before a store sees it. */
export const limitCases: CaseDefinition[] = [
  {
    name: "limits: keys of 512 bytes that differ in the last one",
    async run(kit) {
      const state = await kit.open();
      const { maxKeyBytes } = stateLimits;
      const keys = ["a".repeat(maxKeyBytes), `${"a".repeat(maxKeyBytes - 1)}b`, "\u{10ffff}".repeat(maxKeyBytes / 4)];
      keys.push(`${"\u{10ffff}".repeat(maxKeyBytes / 4 - 1)}\u{10fffe}`);
      for (const [index, key] of keys.entries()) await state.set(key, String(index));
      for (const [index, key] of keys.entries()) assert.equal(await state.text(key), String(index));
      assert.deepEqual(new Set(await state.keys("", 1)), new Set(keys));
      assert.deepEqual(await state.keys(keys[0]), [keys[0]]);
    },
  },
  {
    name: "limits: a value of 4 MiB",
    async run(kit) {
      const state = await kit.open();
      const value = noise(stateLimits.maxValueBytes);
      await state.set("key", value);
      same((await state.item("key")).value, value);
      const { items, more } = await state.list();
      same(items[0]?.value ?? new Uint8Array(), value);
      assert.equal(more, false);
    },
  },
  {
    name: "limits: a transaction of 128 operations and one of 8 MiB",
    feature: "TRANSACT",
    async run(kit) {
      const state = await kit.open();
      const keys = Array.from(
        { length: stateLimits.maxOperations },
        (_, index) => `key-${String(index).padStart(3, "0")}`,
      );
      const results = await state.write(keys.map((key) => set(key, key)));
      assert.equal(new Set(results.map((result) => result.type === "set" && result.etag)).size > 0, true);
      assert.deepEqual(await state.keys("key-"), keys);
      // Two keys of one byte; the second value is a byte shorter on either side, so that all is 8 MiB together.
      const values = [
        noise(stateLimits.maxValueBytes - 1),
        noise(stateLimits.maxTransactionBytes - stateLimits.maxValueBytes - 1),
      ];
      await state.write(values.map((value, index) => set(String(index), value)));
      for (const [index, value] of values.entries()) same((await state.item(String(index))).value, value);
    },
  },
  {
    name: "limits: getMany of 1000 keys, and to the byte of maxBytes",
    async run(kit) {
      const state = await kit.open();
      const keys = Array.from({ length: stateLimits.maxGetManyKeys }, (_, index) => `key-${index}`);
      await Promise.all(keys.filter((_, index) => index % 10 === 0).map((key) => state.set(key, noise(100))));
      const items = await state.getMany(keys, 10_000);
      assert.deepEqual(
        items.map(({ key }) => key),
        keys.filter((_, index) => index % 10 === 0),
      );
      await refused(state.getMany(keys, 9_999), "TOO_LARGE");
    },
  },
  {
    name: "limits: getMany of 16 MiB",
    async run(kit) {
      const state = await kit.open();
      const value = noise(stateLimits.maxValueBytes);
      const keys = ["a", "b", "c", "d"];
      for (const key of keys) await state.set(key, value);
      for (const item of await state.getMany(keys)) same(item.value, value);
      await state.set("e", "!");
      await refused(state.getMany([...keys, "e"]), "TOO_LARGE");
    },
  },
  {
    name: "limits: a content type of 256 bytes, a request id of 128, a keyspace of 256",
    async run(kit) {
      const component = await kit.component();
      const state = kit.session(component, `${kit.keyspace}/`.padEnd(256, "x"));
      const contentType = "text/".padEnd(stateLimits.maxContentTypeBytes, "x");
      const id = "\u00e9".repeat(stateLimits.maxRequestIdBytes / 2);
      const options = { contentType, requestId: { id, fingerprint: "f".repeat(64) } };
      const etag = await state.set("key", "v", options);
      assert.equal(await state.set("key", "v", options), etag);
      assert.equal((await state.item("key")).contentType, contentType);
    },
  },
  {
    name: "limits: a time to live of 1 ms and of 10 years",
    feature: "TTL",
    async run(kit) {
      const state = await kit.open();
      const { minTtlMs, maxTtlMs } = stateLimits;
      await state.set("long", "v", { ttlMs: maxTtlMs });
      const { updateTime, expireTime } = await state.item("long");
      assert.equal(expireTime, updateTime + maxTtlMs);
      await state.set("short", "v", { ttlMs: minTtlMs });
      await kit.harness.advance?.(minTtlMs);
      await kit.reach(state, updateTime + 1_000);
      assert.deepEqual(await state.keys(), ["long"]);
    },
  },
];
