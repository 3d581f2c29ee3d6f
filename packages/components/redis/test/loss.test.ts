import type { StateStore } from "@mecha/component";
import { startComponent } from "@mecha/component/conformance";
import { missing, startRedis, type TestServer } from "@mecha/test-servers";
import { describe, expect, test } from "vitest";
import { redis } from "../src/index.js";
import { command, deleteOf, eventually, reasonOf, setOf, stateOf, write } from "./kit.js";

const keyspace = "test/loss";

/** Watches everything until it is synced; what was reported, and the token to go on with. */
async function sync(state: StateStore, resumeToken?: string): Promise<{ keys: string[]; token: string }> {
  const keys: string[] = [];
  const { signal } = new AbortController();
  for await (const batch of state.watch({ keyspace, target: { prefix: "" }, resumeToken, signal })) {
    for (const change of batch) {
      if (change.type === "synced") return { keys, token: change.resumeToken };
      keys.push(change.type === "item" ? change.item.key : `-${change.key}`);
    }
  }
  throw new Error("the watch ended");
}

const etagOf = async (state: StateStore, key: string) => (await state.get({ keyspace, key }))?.etag;

/** Opens the component, and again after the server was killed: it has what was last saved. */
async function crash(server: TestServer, state: StateStore): Promise<void> {
  await server.kill();
  await server.start();
  await eventually("Redis is back", () =>
    Promise.resolve(state.get({ keyspace, key: "a" })).then(
      () => true,
      () => false,
    ),
  );
}

describe.skipIf(missing("redis"))("a server that has lost writes", () => {
  test("gives no etag twice, tells watchers from the lost future to start again, and lets the others go on", async () => {
    await using server = await startRedis({ appendfsync: "off" });
    const component = await startComponent(redis, { url: server.url });
    const state = stateOf(component);
    await write(state, keyspace, setOf("a", "1"), setOf("b", "1"));
    await write(state, keyspace, deleteOf("b"));
    const kept = await sync(state);
    await command(server.url, ["SAVE"]);
    const lostEtags = [];
    for (let round = 0; round < 3; round++) {
      await write(state, keyspace, setOf("a", `lost ${round}`));
      lostEtags.push(await etagOf(state, "a"));
    }
    const lost = await sync(state);
    await crash(server, state);

    // Revisions have gone back, and nobody has written since.
    expect(await reasonOf(sync(state, lost.token))).toBe("RESUME_EXPIRED");
    expect((await sync(state, kept.token)).keys).toEqual([]);

    // They have come as far again, and further.
    for (let round = 0; round < 5; round++) {
      await write(state, keyspace, setOf("a", `new ${round}`));
      expect(lostEtags).not.toContain(await etagOf(state, "a"));
      expect(await reasonOf(sync(state, lost.token))).toBe("RESUME_EXPIRED");
    }
    expect((await sync(state, kept.token)).keys).toEqual(["a"]);
    const { token } = await sync(state);

    // Another restart, this time without a loss, is no reason to start again: neither for the new ones nor for the oldest.
    await write(state, keyspace, setOf("c"));
    await command(server.url, ["SAVE"]);
    await crash(server, state);
    await write(state, keyspace, setOf("d"));
    expect((await sync(state, token)).keys).toEqual(["c", "d"]);
    expect((await sync(state, kept.token)).keys).toEqual(["a", "c", "d"]);
    expect(await reasonOf(sync(state, lost.token))).toBe("RESUME_EXPIRED");
    await component.close();
  });

  test("that has lost everything is a new one", async () => {
    await using server = await startRedis({ appendfsync: "off" });
    const component = await startComponent(redis, { url: server.url });
    const state = stateOf(component);
    const before = await sync(state);
    await write(state, keyspace, setOf("a", "1"));
    const [etag, { token }] = [await etagOf(state, "a"), await sync(state)];
    await command(server.url, ["FLUSHALL"]);
    expect(await reasonOf(sync(state, token))).toBe("RESUME_EXPIRED");
    await write(state, keyspace, setOf("a", "1"));
    expect(await etagOf(state, "a")).not.toBe(etag);
    expect(await reasonOf(sync(state, token))).toBe("RESUME_EXPIRED");
    expect((await sync(state, before.token)).keys).toEqual(["a"]);
    await component.close();
  });

  test("a replica that is promoted behind its primary's back is told apart", async () => {
    await using primary = await startRedis({ appendfsync: "off" });
    await using replica = await startRedis({
      appendfsync: "off",
      settings: { replicaof: `127.0.0.1 ${primary.port}`, "repl-diskless-sync-delay": "0" },
    });
    const component = await startComponent(redis, { url: primary.url });
    const state = stateOf(component);
    await write(state, keyspace, setOf("a", "1"));
    const kept = await sync(state);
    await eventually("the replica has it", async () => {
      const [exists] = await command(replica.url, ["EXISTS", `{mecha:${keyspace}}:item:a`]);
      return exists === 1;
    });
    await command(replica.url, ["REPLICAOF", "NO", "ONE"]);
    await write(state, keyspace, setOf("a", "2"));
    const lost = await sync(state);
    const lostEtag = await etagOf(state, "a");
    await component.close();

    const promoted = await startComponent(redis, { url: replica.url });
    const survivor = stateOf(promoted);
    await write(survivor, keyspace, setOf("a", "3"));
    expect(await etagOf(survivor, "a")).not.toBe(lostEtag);
    expect(await reasonOf(sync(survivor, lost.token))).toBe("RESUME_EXPIRED");
    expect((await sync(survivor, kept.token)).keys).toEqual(["a"]);
    await promoted.close();
  });
});
