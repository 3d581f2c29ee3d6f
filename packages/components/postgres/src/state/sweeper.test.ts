import { missing, startPostgres, type TestServer } from "@mecha/test-servers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually, failure, keyspace, open, openClient, set, setOf } from "../../test/support.js";
import type { Connection, Row } from "../connection.js";
import { Sweeper } from "./sweeper.js";

describe.skipIf(missing("postgres"))("what need not be remembered any longer", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  /** A sweeper that works through a plain client, and only when it is told. */
  const sweeperOf = (client: Awaited<ReturnType<typeof openClient>>) => {
    const connection: Pick<Connection, "schema" | "query"> = {
      schema: "mecha",
      async query({ text }, values) {
        return (await client.query<Row & string[]>({ text, values: [...values], rowMode: "array" })).rows;
      },
    };
    return new Sweeper(connection, { isWatched: () => false, onExpired() {} });
  };

  test("deleted keys are forgotten after an hour, many at once, and resume tokens of before say so", async () => {
    await using opened = await open(server);
    await using client = await openClient(server);
    for (let first = 0; first < 1_200; first += 100) {
      const operations = Array.from({ length: 100 }, (_, index) => setOf(`gone-${first + index}`, "v"));
      await opened.store.write({ keyspace, operations, requestId: undefined });
    }
    await set(opened.store, "stays", "v");
    await client.query(
      "UPDATE mecha.state SET gone = 'd', updated = now() - interval '50 minutes' WHERE key LIKE 'gone-%'",
    );
    const count = async () => (await client.query("SELECT FROM mecha.state WHERE gone IS NOT NULL")).rowCount;
    const sweeper = sweeperOf(client);
    await sweeper.forget();
    expect(await count()).toBe(1_200);

    const token = async () => {
      const call = { keyspace, target: { prefix: "" }, resumeToken: undefined, signal: new AbortController().signal };
      for await (const batch of opened.store.watch(call)) {
        const last = batch.at(-1);
        if (last?.type === "synced") return last.resumeToken;
      }
      throw new Error("the watch ended");
    };
    const resumeToken = await token();
    await client.query("UPDATE mecha.state SET updated = updated - interval '20 minutes' WHERE gone IS NOT NULL");
    await sweeper.forget();
    expect(await count()).toBe(0);
    expect((await client.query("SELECT FROM mecha.state WHERE key = 'stays'")).rowCount).toBe(1);

    // The token was given after they were deleted: it lacks nothing.
    const call = { keyspace, target: { prefix: "" }, resumeToken, signal: AbortSignal.timeout(10_000) };
    const first = await opened.store.watch(call)[Symbol.asyncIterator]().next();
    expect(first.value?.[0]?.type).toBe("synced");
    // Had they been deleted after it, it would not be.
    await client.query("UPDATE mecha.state_log SET forgotten = clock_timestamp()");
    expect((await failure(opened.store.watch(call)[Symbol.asyncIterator]().next())).reason).toBe("RESUME_EXPIRED");
    sweeper.close();
  });

  test("request ids are good for ten minutes, whether they were swept or not", async () => {
    await using opened = await open(server);
    await using client = await openClient(server);
    const write = (fingerprint: string) =>
      opened.store.write({ keyspace, operations: [setOf("key", "v")], requestId: { id: "id", fingerprint } });
    const age = (minutes: number) =>
      client.query("UPDATE mecha.state_request SET created = created - $1 * interval '1 minute'", [minutes]);
    const first = await write("one");
    await age(9);
    expect(await write("one")).toEqual(first);
    expect((await failure(Promise.resolve(write("two")))).reason).toBe("BAD_REQUEST");
    await age(2);
    expect(await write("two")).not.toEqual(first);
    await age(11);
    const sweeper = sweeperOf(client);
    await sweeper.forget();
    sweeper.close();
    expect((await client.query("SELECT FROM mecha.state_request")).rowCount).toBe(0);
  });

  test("an item that expired is taken out with its value, by a runtime that watches anything", async () => {
    await using opened = await open(server);
    await using client = await openClient(server);
    await opened.store.write({ keyspace, operations: [setOf("short", "v", 1)], requestId: undefined });
    await using other = await open(server);
    const watched = other.store.watch({
      keyspace: "default/elsewhere",
      target: { prefix: "" },
      resumeToken: undefined,
      signal: AbortSignal.timeout(10_000),
    });
    await watched[Symbol.asyncIterator]().next();
    // A watch of anything makes its runtime sweep everything.
    await eventually("it is swept", async () => {
      const { rows } = await client.query("SELECT gone, value FROM mecha.state WHERE key = 'short'");
      return rows[0]?.gone === "x" && rows[0].value.length === 0;
    });
  });
});
