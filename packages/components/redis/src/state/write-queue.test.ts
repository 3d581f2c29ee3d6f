import { ComponentError } from "@mecha/component";
import { startComponent } from "@mecha/component/conformance";
import { missing, startRedis } from "@mecha/test-servers";
import { describe, expect, test } from "vitest";
import { command, deleteOf, reasonOf, setOf, stateOf, textOf, write } from "../../test/kit.ts";
import { redis } from "../index.js";

const keyspace = "test/queue";

/** How many scripts the server has run. */
async function scriptsRun(url: string): Promise<number> {
  const [info] = await command(url, ["INFO", "commandstats"]);
  const counts = [...String(info).matchAll(/cmdstat_(?:eval|evalsha):calls=(\d+)/g)];
  return counts.reduce((sum, [, count]) => sum + Number(count), 0);
}

describe.skipIf(missing("redis"))("writes that are asked for at once", () => {
  test("share a command, and each succeeds or fails by itself", async () => {
    await using server = await startRedis({ appendfsync: "off" });
    const component = await startComponent(redis, { url: server.url });
    const state = stateOf(component);
    await write(state, keyspace, setOf("taken"));
    const before = await scriptsRun(server.url);
    const taken = { ...setOf("taken", "x"), precondition: { type: "absent" } } as const;
    const gone = new AbortController();
    gone.abort(new ComponentError("CANCELED", "gone"));
    const results = await Promise.allSettled([
      ...Array.from({ length: 50 }, (_, index) => write(state, keyspace, setOf(`key-${index}`, String(index)))),
      write(state, keyspace, setOf("half"), taken),
      state.write({ keyspace, operations: [setOf("never")], requestId: undefined, signal: gone.signal }),
      write(state, keyspace, deleteOf("key-7"), setOf("whole")),
    ]);
    expect((await scriptsRun(server.url)) - before).toBe(1);
    expect(results.filter(({ status }) => status === "rejected")).toMatchObject([
      { reason: { reason: "ALREADY_EXISTS", metadata: { key: "taken", operation_index: "1" } } },
      { reason: { reason: "CANCELED" } },
    ]);
    const call = { keyspace, prefix: "", after: undefined, limit: 1000, maxBytes: 1_000_000, keysOnly: false };
    const { items } = await state.list(call);
    expect(items).toHaveLength(49 + 2);
    for (const { key, value } of items) {
      if (key.startsWith("key-")) expect(textOf(value)).toBe(key.slice(4));
    }
    const keys = items.map(({ key }) => key);
    expect(keys).toContain("whole");
    expect(keys).not.toContain("half");
    await component.close();
  });

  test("see one another in the order in which they were asked for, and give each its own etag", async () => {
    await using server = await startRedis({ appendfsync: "off" });
    const component = await startComponent(redis, { url: server.url });
    const state = stateOf(component);
    const etags = await Promise.all(
      Array.from({ length: 200 }, async (_, index) => (await write(state, keyspace, setOf("key", String(index))))[0]),
    );
    expect(new Set(etags.map((result) => result?.type === "set" && result.etag)).size).toBe(200);
    expect(textOf((await state.get({ keyspace, key: "key" }))?.value)).toBe("199");
    await component.close();
  });

  test("when memory is full: the deletions among them are done", async () => {
    await using server = await startRedis({ appendfsync: "off" });
    const component = await startComponent(redis, { url: server.url });
    const state = stateOf(component);
    await write(state, keyspace, setOf("a"), setOf("b"));
    await command(server.url, ["CONFIG", "SET", "maxmemory", "1mb"]);
    const results = await Promise.allSettled([
      reasonOf(write(state, keyspace, setOf("c"))),
      write(state, keyspace, deleteOf("a")),
      reasonOf(write(state, keyspace, setOf("a"), deleteOf("b"))),
    ]);
    expect(results).toEqual([
      { status: "fulfilled", value: "STORAGE_FULL" },
      { status: "fulfilled", value: [{ type: "delete", existed: true }] },
      { status: "fulfilled", value: "STORAGE_FULL" },
    ]);
    expect(await state.getMany({ keyspace, keys: ["a", "b", "c"], maxBytes: 100 })).toHaveLength(1);
    await component.close();
  });
});
