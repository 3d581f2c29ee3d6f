import type { StateOperation } from "@mecha/component";
import { startComponent, stateConformance } from "@mecha/component/conformance";
import { missing, startPostgres, type TestServer } from "@mecha/test-servers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually, keyspace, open, openClient, set } from "../../test/support.js";
import { postgres } from "../index.js";
import { bucketOf } from "./locks.js";

describe.skipIf(missing("postgres"))("conformance", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const cases = stateConformance({
    open: () => startComponent(postgres, { url: server.url }),
    features: ["TRANSACT", "WATCH", "TTL", "OUTBOX"],
    pubsubFeatures: ["ORDERED", "DELAY", "REPLAY", "DEDUP", "TTL"],
    durability: "HOST",
    shared: true,
    async expireResumeTokens() {
      // What the sweep notes when it forgets deletions.
      await using client = await openClient(server);
      await client.query("UPDATE mecha.state_log SET forgotten = clock_timestamp()");
    },
  });
  for (const { name, run } of cases) test(name, run);

  const precondition = { type: "exists" } as const;
  const base = { value: new Uint8Array(), contentType: "", ttlMs: undefined };
  const writes: [name: string, key: string, operation: (key: string) => StateOperation][] = [
    ["a set", "set", (key) => ({ type: "set", key, ...base, precondition: undefined })],
    ["a set of an absent key", "create", (key) => ({ type: "set", key, ...base, precondition: { type: "absent" } })],
    ["a set of a present key", "present", (key) => ({ type: "set", key, ...base, precondition })],
    ["a deletion", "present", (key) => ({ type: "delete", key, precondition: undefined })],
  ];
  test.each(writes)("%s waits for a transaction that checks its key", async (_, key, operation) => {
    await using opened = await open(server);
    await set(opened.store, "present", "v");
    await using checking = await openClient(server);
    await checking.query("BEGIN");
    await checking.query("SELECT pg_advisory_xact_lock_shared(hashtext('mecha/state/mecha'), $1)", [
      bucketOf(keyspace, key),
    ]);
    let isDone = false;
    const write = Promise.resolve(
      opened.store.write({ keyspace, operations: [operation(key)], requestId: undefined }),
    ).then(() => {
      isDone = true;
    });
    await using observer = await openClient(server);
    await eventually("the write waits", async () => {
      const { rowCount } = await observer.query("SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted");
      return rowCount === 1;
    });
    expect(isDone).toBe(false);
    await checking.query("COMMIT");
    await write;
  });
});
