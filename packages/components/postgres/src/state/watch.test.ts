import { missing, startPostgres, type TestServer } from "@mecha/test-servers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually, keyspace, open, openClient, set, textOf } from "../../test/support.js";
import { bucketOf } from "./locks.js";
import { decodePosition, encodePosition, type Position } from "./position.js";
import { rangeOf } from "./rows.js";

/** Watches everything below a prefix, and keeps what it was told last of every key. */
function watch({ store }: Awaited<ReturnType<typeof open>>, prefix: string) {
  const view = new Map<string, string | undefined>();
  const ending = new AbortController();
  const state = { synced: false };
  const reading = (async () => {
    for await (const batch of store.watch({
      keyspace,
      target: { prefix },
      resumeToken: undefined,
      signal: ending.signal,
    })) {
      for (const change of batch) {
        if (change.type === "item") view.set(change.item.key, textOf(change.item));
        else if (change.type === "deleted") view.delete(change.key);
        else state.synced = true;
      }
    }
  })();
  return {
    view,
    untilSynced: () => eventually("the watch is synced", () => state.synced),
    async [Symbol.asyncDispose]() {
      ending.abort();
      await reading;
    },
  };
}

describe.skipIf(missing("postgres"))("a watch", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  test("is told by another runtime at once, not by looking now and then", async () => {
    await using writer = await open(server);
    await using reader = await open(server);
    await using watching = watch(reader, "told-");
    await watching.untilSynced();
    const delays: number[] = [];
    for (let round = 0; round < 20; round++) {
      await set(writer.store, "told-key", String(round));
      const written = performance.now();
      await eventually("it is reported", () => watching.view.get("told-key") === String(round));
      delays.push(performance.now() - written);
    }
    const median = delays.sort((a, b) => a - b)[delays.length / 2] ?? 0;
    // Looks are half a second apart.
    expect(median).toBeLessThan(100);
  });

  test("reports at once however long another transaction of the server takes", async () => {
    await using opened = await open(server);
    await using foreign = await openClient(server);
    await foreign.query("BEGIN");
    await foreign.query("SELECT pg_current_xact_id()");
    await using watching = watch(opened, "long-");
    await watching.untilSynced();
    const written = performance.now();
    await set(opened.store, "long-key", "v");
    await eventually("it is reported", () => watching.view.get("long-key") === "v");
    expect(performance.now() - written).toBeLessThan(400);
    await foreign.query("ROLLBACK");
  });

  test("misses nothing that began before and became visible after what it reported", async () => {
    await using opened = await open(server);
    await using slow = await openClient(server);
    await using watching = watch(opened, "late-");
    await watching.untilSynced();
    // A writer that has its transaction id, and takes its time to commit.
    await slow.query("BEGIN");
    await slow.query("SELECT pg_advisory_xact_lock_shared(1, 1), pg_current_xact_id()");
    await slow.query(
      `SELECT mecha.state_write($1, ARRAY[$2::int], ARRAY['set'], ARRAY['late-slow'], ARRAY['v'::bytea], ARRAY['text/plain'],
        ARRAY[NULL::bigint], NULL, NULL, NULL, NULL)`,
      [keyspace, bucketOf(keyspace, "late-slow")],
    );
    for (let round = 0; round < 10; round++) await set(opened.store, `late-${round}`, "v");
    await eventually("the fast ones are reported", () => watching.view.size === 10);
    await slow.query("COMMIT");
    await eventually("the slow one is reported", () => watching.view.get("late-slow") === "v");
  });

  test("costs no query of its own while nothing of its keys changes", async () => {
    await using opened = await open(server);
    await using client = await openClient(server);
    await using busy = watch(opened, "busy-");
    const idle = Array.from({ length: 50 }, (_, index) => watch(opened, `idle-${index}-`));
    for (const one of [busy, ...idle]) await one.untilSynced();
    const scans = async () => {
      const { rows } = await client.query<{ calls: string }>(
        "SELECT idx_scan AS calls FROM pg_stat_user_indexes WHERE schemaname = 'mecha' AND indexrelname = 'state_changes'",
      );
      return Number(rows[0]?.calls);
    };
    const before = await scans();
    for (let round = 0; round < 100; round++) await set(opened.store, "busy-key", String(round));
    await eventually("the last is reported", () => busy.view.get("busy-key") === "99");
    // PostgreSQL publishes its counters once a second.
    await eventually("the reads are counted", async () => (await scans()) > before + 20);
    // Two ranges for each look and for each read of the one watch that has something to read; 50 watches would need thousands.
    expect((await scans()) - before).toBeLessThan(1_000);
    for (const one of idle) await one[Symbol.asyncDispose]();
  });

  test("reads what changed and no more, however much there is", async () => {
    await using opened = await open(server);
    await using client = await openClient(server);
    await client.query(
      `INSERT INTO mecha.state (keyspace, key, value, content_type, etag, updated, xid)
        SELECT $1, 'many-' || n, '', '', gen_random_uuid(), now(), pg_current_xact_id() FROM generate_series(1, 20000) n`,
      [keyspace],
    );
    await client.query("ANALYZE mecha.state");
    // Transactions that are under way are looked up as well.
    await using slow = await openClient(server);
    await slow.query("BEGIN; SELECT pg_current_xact_id()");
    const readRows = async () => {
      const { rows } = await client.query<{ count: string }>(
        "SELECT idx_tup_read AS count FROM pg_stat_user_indexes WHERE schemaname = 'mecha' AND indexrelname = 'state_changes'",
      );
      return Number(rows[0]?.count);
    };
    await using watching = watch(opened, "many-");
    await watching.untilSynced();
    const before = await readRows();
    for (let round = 0; round < 20; round++) await set(opened.store, `many-${round}`, "v");
    await eventually("the last is reported", () => watching.view.get("many-19") === "v");
    await eventually("the reads are counted", async () => (await readRows()) > before + 20);
    expect((await readRows()) - before).toBeLessThan(10_000);
    await slow.query("ROLLBACK");
  });
});

describe("a position", () => {
  const base = { text: "10:20:10,14", at: 1_700_000_000_123 };
  const positions: Position[] = [
    { base },
    { base, scannedTo: "" },
    { base, scannedTo: 'key, with "quotes" and \u{1f600}' },
    { base, within: { snapshot: { text: "30:30:", at: 5 }, xid: "17", key: "key" } },
  ];

  test.each(positions)("survives its token: %o", (position) => {
    expect(decodePosition("epoch", encodePosition("epoch", position))).toEqual(position);
  });

  test("of another epoch, or of nobody, is none", () => {
    expect(decodePosition("epoch", encodePosition("another", { base }))).toBeUndefined();
    for (const text of ["", "nonsense", "e30", Buffer.from('["epoch","1:2:; DROP",1]').toString("base64url")]) {
      expect(decodePosition("epoch", text)).toBeUndefined();
    }
  });
});

describe("a range of keys", () => {
  const bytes = (text: string) => Buffer.from(text);
  const holds = (range: { from: string; to: string }, key: string) =>
    Buffer.compare(bytes(range.from), bytes(key)) <= 0 && Buffer.compare(bytes(key), bytes(range.to)) < 0;
  const keys = [
    "a",
    "a\u0001",
    "ab",
    "a\u{10ffff}",
    "b",
    "\ud7ff",
    "\ue000",
    "\u{ffff}",
    "\u{10000}",
    "\u{10ffff}".repeat(128),
  ];

  test.each(["", "a", "\ud7ff", "\uffff", "\u{10ffff}", "a\u{10ffff}"])(
    "of the prefix %j holds what begins with it",
    (prefix) => {
      for (const key of keys) expect(holds(rangeOf({ prefix }), key), key).toBe(key.startsWith(prefix));
    },
  );

  test("of a key holds that key alone", () => {
    for (const key of keys) expect(holds(rangeOf({ key: "a" }), key), key).toBe(key === "a");
  });
});
