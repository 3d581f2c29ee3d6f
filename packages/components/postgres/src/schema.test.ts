import { execFileSync } from "node:child_process";
import { dirname, join } from "node:path";
import type { StateStore } from "@mecha/component";
import { find, missing, startPostgres, type TestServer } from "@mecha/test-servers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually, failure, keyspace, open, openClient, set, textOf } from "../test/support.js";
import { currentVersion, type Migration, migrate, migrations } from "./schema.js";

describe.skipIf(missing("postgres"))("the schema", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  test("is created once by eight runtimes that start at the same moment, and all of them serve", async () => {
    const opened = await Promise.all(Array.from({ length: 8 }, () => open(server, { schema: "at_once" })));
    await Promise.all(opened.map(({ store }, index) => set(store, `key-${index}`, String(index))));
    for (const { store } of opened) {
      const { items } = await store.list({
        keyspace,
        prefix: "",
        after: undefined,
        limit: 10,
        maxBytes: 100,
        keysOnly: true,
      });
      expect(items.length).toBe(8);
    }
    await Promise.all(opened.map((one) => one[Symbol.asyncDispose]()));
    await using client = await openClient(server);
    const { rowCount } = await client.query("SELECT FROM at_once.schema_version");
    expect(rowCount).toBe(migrations.length);
  });

  test("of an older version is migrated, by two at the same moment, step by step and once each", async () => {
    const first: Migration = { description: "first", sql: (schema) => `CREATE TABLE ${schema}.one (n int)` };
    const second: Migration = { description: "second", sql: (schema) => `INSERT INTO ${schema}.one VALUES (1)` };
    await using a = await openClient(server);
    await using b = await openClient(server);
    const upTo = (...steps: Migration[]) => [...migrations, ...steps];
    await migrate(a, "older", upTo(first));
    await Promise.all([migrate(a, "older", upTo(first, second)), migrate(b, "older", upTo(first, second))]);
    const versions = await a.query("SELECT version, description FROM older.schema_version ORDER BY version");
    expect(versions.rows.slice(-2)).toEqual([
      { version: currentVersion + 1, description: "first" },
      { version: currentVersion + 2, description: "second" },
    ]);
    expect((await a.query("SELECT * FROM older.one")).rows).toEqual([{ n: 1 }]);
  });

  test("is left as it was when a step fails", async () => {
    const broken: Migration = { description: "broken", sql: () => "CREATE TABLE older.half (n int); SELECT 1 / 0" };
    await using client = await openClient(server);
    await expect(migrate(client, "whole", [...migrations, broken])).rejects.toThrow("division by zero");
    const { rows } = await client.query("SELECT to_regclass('older.half') AS half, to_regnamespace('whole') AS whole");
    expect(rows).toEqual([{ half: null, whole: null }]);
  });

  test("of a newer version is refused, with words: at the start, and when it was migrated meanwhile", async () => {
    await using opened = await open(server, { schema: "newer" });
    await set(opened.store, "key", "v");
    await using client = await openClient(server);
    await client.query("INSERT INTO newer.schema_version (version, description) VALUES (99, 'from the future')");
    const words = `schema "newer" has version 99, written by a newer Mecha; this one knows ${currentVersion}: upgrade this runtime`;

    const start = await failure(open(server, { schema: "newer" }));
    expect(start.reason).toBe("COMPONENT_UNAVAILABLE");
    expect(start.message).toContain(words);

    await client.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mecha/postgres'",
    );
    const running = await failure(set(opened.store, "key", "w"));
    expect(running.reason).toBe("COMPONENT_UNAVAILABLE");
    expect(running.message).toContain(words);
  });

  describe("that was restored", () => {
    const target = { prefix: "" };

    /** The token of a watch that was told of everything. */
    const currentToken = async (store: StateStore) => {
      const { signal } = new AbortController();
      for await (const batch of store.watch({ keyspace, target, resumeToken: undefined, signal })) {
        const synced = batch.find(({ type }) => type === "synced");
        if (synced !== undefined) return synced.resumeToken;
      }
      throw new Error("the watch ended");
    };

    const resume = (store: StateStore, resumeToken: string) => {
      const { signal } = new AbortController();
      return store.watch({ keyspace, target, resumeToken, signal })[Symbol.asyncIterator]().next();
    };

    test("from a dump refuses resume tokens of the history that is gone", async () => {
      const program = find("postgres") ?? "";
      const tool = (name: string) => join(dirname(program), name);
      const before = await open(server, { schema: "dumped" });
      await set(before.store, "key", "old");
      const dump = execFileSync(tool("pg_dump"), ["--schema=dumped", server.url]);
      await set(before.store, "key", "new");
      const resumeToken = await currentToken(before.store);
      await before[Symbol.asyncDispose]();
      {
        await using client = await openClient(server);
        await client.query("DROP SCHEMA dumped CASCADE");
      }
      execFileSync(tool("psql"), ["--quiet", "--set=ON_ERROR_STOP=1", server.url], {
        input: dump,
        stdio: ["pipe", "ignore", "inherit"],
      });
      await using after = await open(server, { schema: "dumped" });
      expect(textOf(await after.store.get({ keyspace, key: "key" }))).toBe("old");
      expect((await failure(resume(after.store, resumeToken))).reason).toBe("RESUME_EXPIRED");
    });

    test("into a server with fewer transactions behind it reports changes, and refuses older resume tokens", async () => {
      const before = await open(server, { schema: "moved" });
      await set(before.store, "key", "v");
      const resumeToken = await currentToken(before.store);
      await before[Symbol.asyncDispose]();
      await using client = await openClient(server);
      // As a dump of a server with more transactions behind it would look.
      await client.query("UPDATE moved.state_log SET origin = 'another one'");
      await client.query("UPDATE moved.state SET xid = '1000000000'");

      await using opened = await open(server, { schema: "moved" });
      expect((await failure(resume(opened.store, resumeToken))).reason).toBe("RESUME_EXPIRED");
      const seen: (string | undefined)[] = [];
      const ending = new AbortController();
      const watching = (async () => {
        const call = { keyspace, target, resumeToken: undefined, signal: ending.signal };
        for await (const batch of opened.store.watch(call)) {
          for (const change of batch) if (change.type === "item") seen.push(textOf(change.item));
        }
      })();
      await eventually("what was restored is reported", () => seen.includes("v"));
      await set(opened.store, "key", "w");
      await eventually("what changes is reported", () => seen.includes("w"));
      expect(seen).toEqual(["v", "w"]);
      ending.abort();
      await watching;
    });
  });
});
