import { type BindingData, ComponentError, checkInvocation } from "@mecha/component";
import { bindingConformance, startComponent } from "@mecha/component/conformance";
import { missing, startPostgres, type TestServer } from "@mecha/test-servers";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { eventually, openClient } from "../../test/support.js";
import { postgres } from "../index.js";

describe.skipIf(missing("postgres"))("statements", { timeout: 60_000 }, () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startPostgres();
    await using client = await openClient(server);
    await client.query(
      "CREATE TABLE orders (id bigint PRIMARY KEY, status text NOT NULL CHECK (status <> ''), note jsonb)",
    );
    await client.query("CREATE ROLE reporter LOGIN; GRANT SELECT ON orders TO reporter");
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const cases = bindingConformance({
    open: () => startComponent(postgres, { url: server.url, binding: {} }),
    features: ["OUTPUT"],
    works: { operation: "query", data: "[1]", metadata: { sql: "SELECT $1::int AS one" } },
    slow: { operation: "exec", metadata: { sql: "SELECT pg_sleep(60)" } },
  });
  for (const { name, run } of cases) test(name, run);

  /** Calls the component as the runtime does: checked against its description first. */
  async function openSql(binding: Record<string, unknown> = {}, config: Record<string, unknown> = {}) {
    const component = await startComponent(postgres, { url: server.url, binding, ...config });
    onTestFinished(() => component.close());
    const served = component.blocks.binding;
    return async (
      operation: "query" | "exec",
      sql: string,
      values?: unknown,
      { signal = new AbortController().signal, timeout = "" } = {},
    ): Promise<BindingData & { rows: unknown }> => {
      if (served?.invoke === undefined) throw new Error("the component has no operations");
      const data = Buffer.from(values === undefined ? "" : JSON.stringify(values));
      const call = { operation, metadata: { sql, ...(timeout !== "" && { timeout }) }, data, contentType: "" };
      checkInvocation(served, call, "postgres");
      const answer = await served.invoke({ ...call, keyspace: "default/shop", signal });
      return { ...answer, rows: JSON.parse(Buffer.from(answer.data).toString()) };
    };
  }

  const failureOf = (call: Promise<unknown>): Promise<ComponentError> =>
    call.then(
      () => expect.fail("it did not fail"),
      (error: unknown) => {
        if (!(error instanceof ComponentError)) throw error;
        return error;
      },
    );

  test("write and read rows", async () => {
    const sql = await openSql();
    const insert = "INSERT INTO orders VALUES ($1, $2, $3) RETURNING id, note";
    const written = await sql("exec", insert, [1, "paid", { items: ["é", 2] }]);
    expect(written).toMatchObject({ rows: [{ id: 1, note: { items: ["é", 2] } }], metadata: { rows: "1" } });
    expect((await sql("exec", "UPDATE orders SET status = 'sent' WHERE id = $1", [1])).metadata).toEqual({ rows: "1" });
    const read = await sql("query", "SELECT status FROM orders WHERE id = $1 OR status = $2", [1, null]);
    expect(read).toMatchObject({ rows: [{ status: "sent" }], contentType: "application/json" });
    expect((await sql("query", "SELECT FROM orders WHERE false")).rows).toEqual([]);
  });

  test("give what JSON has as JSON has it, and all else as text", async () => {
    const sql = await openSql();
    const { rows } = await sql(
      "query",
      `SELECT true AS b, 7::int2 AS i, 9007199254740993 AS big, 12 AS small, 1.50::numeric AS n, 0.5::float8 AS f, 'NaN'::float8 AS nan,
        '\\x0001ff'::bytea AS bytes, '{"a":[1]}'::jsonb AS j, '2026-11-21 03:00:00.5'::timestamp AS t, '2026-11-21 03:00:00+00'::timestamptz AS tz,
        'infinity'::timestamptz AS never, '2026-11-21'::date AS d, ARRAY[1, NULL, 3] AS ints, ARRAY['a', 'NULL', 'x,y'] AS texts, NULL AS nothing,
        '{"(1,2)"}'::point[] AS points, '1 day 02:00'::interval AS span, 'b0c6fd5e-7c5b-4b8b-9b0e-0d3c9a8f7b11'::uuid AS id`,
    );
    expect(rows).toEqual([
      {
        b: true,
        i: 7,
        big: "9007199254740993",
        small: 12,
        n: "1.50",
        f: 0.5,
        nan: "NaN",
        bytes: "AAH/",
        j: { a: [1] },
        t: "2026-11-21T03:00:00.5",
        tz: "2026-11-21T03:00:00Z",
        never: "infinity",
        d: "2026-11-21",
        ints: [1, null, 3],
        texts: ["a", "NULL", "x,y"],
        nothing: null,
        points: '{"(1,2)"}',
        span: "1 day 02:00:00",
        id: "b0c6fd5e-7c5b-4b8b-9b0e-0d3c9a8f7b11",
      },
    ]);
  });

  test("that are wrong are refused as PostgreSQL says it, and disturb nobody", async () => {
    const sql = await openSql({ pool: 1 });
    await sql("exec", "DELETE FROM orders");
    await sql("exec", "INSERT INTO orders VALUES (1, 'paid')");
    const wrong: [string, string, string, unknown?][] = [
      ["SELEC 1", "BAD_REQUEST", "42601"],
      ["SELECT * FROM no_such_table", "BAD_REQUEST", "42P01"],
      ["SELECT 1 / 0", "BAD_REQUEST", "22012"],
      ["SELECT 1; SELECT 2", "BAD_REQUEST", "42601"],
      ["INSERT INTO orders VALUES (2, '')", "BAD_REQUEST", "23514"],
      ["INSERT INTO orders VALUES (1, 'paid')", "ALREADY_EXISTS", "23505"],
      ["SELECT $1::int", "BAD_REQUEST", "22P02", ["x"]],
      ["SELECT $1::int", "BAD_REQUEST", "08P01", []],
    ];
    for (const [statement, reason, sqlstate, values] of wrong) {
      expect(await failureOf(sql("exec", statement, values)), statement).toMatchObject({
        reason,
        metadata: { sqlstate },
      });
    }
    expect((await failureOf(sql("exec", "SELECT 1", { a: 1 }))).reason).toBe("BAD_REQUEST");
    expect((await sql("query", "SELECT count(*) AS orders FROM orders")).rows).toEqual([{ orders: 1 }]);
  });

  test("that only read change nothing, however they try", async () => {
    const sql = await openSql();
    await sql("exec", "DELETE FROM orders");
    const attempts = [
      "INSERT INTO orders VALUES (1, 'paid')",
      "WITH added AS (INSERT INTO orders VALUES (1, 'paid') RETURNING 1) SELECT * FROM added",
      "SET TRANSACTION READ WRITE",
      "DO $$ BEGIN COMMIT; SET default_transaction_read_only = off; INSERT INTO orders VALUES (1, 'paid'); END $$",
    ];
    for (const attempt of attempts) {
      await sql("query", attempt).catch((error: unknown) => expect(error).toMatchObject({ reason: "BAD_REQUEST" }));
    }
    expect((await sql("query", "SELECT * FROM orders")).rows).toEqual([]);
  });

  test("leave nothing behind for the next one", async () => {
    const sql = await openSql({ pool: 1 });
    await sql("exec", "SET search_path = nowhere");
    await sql("exec", "CREATE TEMPORARY TABLE left_behind (n int)");
    await sql("exec", "SELECT pg_advisory_lock(1)");
    await sql("exec", "BEGIN");
    await sql("exec", "DELETE FROM orders");
    await sql("exec", "INSERT INTO orders VALUES (7, 'paid')");
    expect((await failureOf(sql("query", "SELECT * FROM left_behind"))).metadata.sqlstate).toBe("42P01");
    await using client = await openClient(server);
    expect((await client.query("SELECT FROM pg_locks WHERE locktype = 'advisory'")).rowCount).toBe(0);
    expect((await client.query("SELECT FROM orders")).rowCount).toBe(1);
  });

  test("run as the user that they are given, and may do no more", async () => {
    const sql = await openSql({ url: server.url.replace("postgres@", "reporter@"), operations: ["query"] });
    expect((await sql("query", "SELECT current_user AS name")).rows).toEqual([{ name: "reporter" }]);
    expect(await failureOf(sql("query", "SELECT * FROM mecha.state"))).toMatchObject({
      reason: "TARGET_REFUSED",
      metadata: { sqlstate: "42501" },
    });
    expect((await failureOf(sql("exec", "SELECT 1"))).reason).toBe("BAD_REQUEST");
  });

  test("are not there unless they are configured", async () => {
    const component = await startComponent(postgres, { url: server.url });
    onTestFinished(() => component.close());
    expect(component.blocks.binding).toMatchObject({ features: [], operations: [] });
  });

  test("that answer with too much are TOO_LARGE; a write was done then", async () => {
    const sql = await openSql({ pool: 1 });
    await sql("exec", "DELETE FROM orders");
    const many = "SELECT repeat('x', 1000000) AS x FROM generate_series(1, 100)";
    expect(await failureOf(sql("query", many))).toMatchObject({ reason: "TOO_LARGE" });
    const insert = "INSERT INTO orders SELECT n, repeat('x', 1000000) FROM generate_series(1, 10) n RETURNING status";
    expect(await failureOf(sql("exec", insert))).toMatchObject({ reason: "TOO_LARGE", metadata: { done: "true" } });
    expect((await sql("query", "SELECT count(*) AS orders FROM orders")).rows).toEqual([{ orders: 10 }]);
  });

  test("that take too long are undone; one whose caller goes is ended", async () => {
    const sql = await openSql({}, { statementTimeoutMs: 1_000 });
    const late = await failureOf(sql("exec", "SELECT pg_sleep(60)", undefined, { timeout: "100ms" }));
    expect(late).toMatchObject({ reason: "COMPONENT_UNAVAILABLE" });
    const gone = new AbortController();
    const left = sql("exec", "SELECT pg_sleep(61)", undefined, { signal: gone.signal });
    left.catch(() => {});
    await using client = await openClient(server);
    const running = async () =>
      (await client.query("SELECT FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(61)' AND state = 'active'"))
        .rowCount;
    await eventually("it runs", async () => (await running()) === 1);
    gone.abort();
    expect((await failureOf(left)).reason).toBe("OUTCOME_UNKNOWN");
    await eventually("it is ended", async () => (await running()) === 0);
  });

  test("of a server that is away were not run", async () => {
    const sql = await openSql();
    await sql("query", "SELECT 1");
    await server.stop();
    expect((await failureOf(sql("exec", "SELECT 1"))).reason).toBe("COMPONENT_UNAVAILABLE");
    await server.start();
    await eventually("it is back", () =>
      sql("query", "SELECT 1").then(
        () => true,
        () => false,
      ),
    );
  });
});
