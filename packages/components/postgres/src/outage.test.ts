import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { ComponentError, type StateStore } from "@mecha/component";
import { missing, startPostgres, type TestServer } from "@mecha/test-servers";
import type { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { deadlineMs, Load } from "../test/load.js";
import { eventually, failure, keyspace, open, openClient, set, signalAll, textOf } from "../test/support.js";

const everything = { keyspace, prefix: "", after: undefined, limit: 1, maxBytes: 1_000, keysOnly: true };

/** What a machine that runs other tests as well may add to a deadline, in ms. */
const slackMs = 1_000;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

describe.skipIf(missing("postgres"))("when PostgreSQL goes away", { timeout: 90_000 }, () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const outages: [name: string, begin: () => void | Promise<void>, finish: () => void | Promise<void>][] = [
    ["is stopped and started", () => server.stop(), () => server.start()],
    ["crashes and recovers", () => server.kill(), () => server.start()],
    ["hangs and goes on", () => signalAll(server, "SIGSTOP"), () => signalAll(server, "SIGCONT")],
  ];

  test.each(outages)(
    "%s under load: every caller is answered within its deadline, nothing acknowledged is lost, and calls succeed again",
    async (_, begin, finish) => {
      await using opened = await open(server, { statementTimeoutMs: 2_000, connectTimeoutMs: 1_000 });
      const load = new Load(opened.store, 32);
      for (let round = 0; round < 2; round++) {
        const before = load.answered;
        await eventually("the load runs", () => load.answered > before + 200);
        await begin();
        const failures = () => [...load.failures.values()].reduce((sum, count) => sum + count, 0);
        const failedBefore = failures();
        await eventually("callers are told", () => failures() > failedBefore + 64);
        await finish();
        const after = load.answered;
        await eventually("calls succeed again", () => load.answered > after + 200);
      }
      await load.end();
      expect(load.wrong).toEqual([]);
      expect(load.slowestMs).toBeLessThan(deadlineMs + slackMs);
    },
  );

  test("an outage takes no memory, however many callers try meanwhile", async () => {
    await using opened = await open(server);
    const used = async () => {
      await new Promise(setImmediate);
      collectGarbage();
      return process.memoryUsage().heapUsed;
    };
    await set(opened.store, "key", "before");
    await server.stop();
    const callInVain = async () => {
      for (let round = 0; round < 100; round++) {
        const calls = Array.from({ length: 100 }, (_, index) => failure(set(opened.store, `key-${index}`, "in vain")));
        await Promise.all(calls);
      }
    };
    await callInVain();
    const before = await used();
    await callInVain();
    expect((await used()) - before).toBeLessThan(1024 * 1024);
    await server.start();
    await eventually("it is back", () =>
      set(opened.store, "key", "after").then(
        () => true,
        () => false,
      ),
    );
    expect(textOf(await opened.store.get({ keyspace, key: "key" }))).toBe("after");
  });

  test("a call without a deadline is answered as well while the server hangs", async () => {
    await using opened = await open(server, { statementTimeoutMs: 500, connectTimeoutMs: 500, pool: 2 });
    await set(opened.store, "key", "v");
    signalAll(server, "SIGSTOP");
    try {
      const read = await failure(Promise.resolve(opened.store.get({ keyspace, key: "key" })));
      expect(read.reason).toBe("COMPONENT_UNAVAILABLE");
    } finally {
      signalAll(server, "SIGCONT");
    }
    await eventually("it is back", () =>
      set(opened.store, "key", "w").then(
        () => true,
        () => false,
      ),
    );
  });

  describe("under a write", () => {
    /** A write that waits for a lock, and the server process that does it. */
    const startWrite = async (store: StateStore, observer: Client) => {
      const write = set(store, "key", "w");
      write.catch(() => {});
      let pid = 0;
      await eventually("the write waits for the lock", async () => {
        const { rows } = await observer.query<{ pid: number }>(
          "SELECT pid FROM pg_stat_activity WHERE application_name = 'mecha/postgres' AND wait_event_type = 'Lock'",
        );
        pid = rows[0]?.pid ?? 0;
        return pid !== 0;
      });
      return { write, pid };
    };

    test("a connection that breaks without an answer makes it OUTCOME_UNKNOWN", async () => {
      await using opened = await open(server);
      await using locker = await openClient(server);
      await using observer = await openClient(server);
      await locker.query("BEGIN; LOCK TABLE mecha.state");
      const { write, pid } = await startWrite(opened.store, observer);
      process.kill(pid, "SIGKILL");
      expect((await failure(write)).reason).toBe("OUTCOME_UNKNOWN");
      await eventually("it is back", () =>
        set(opened.store, "key", "x").then(
          () => true,
          () => false,
        ),
      );
    });

    test("a connection that the server ends, and says so, costs nothing: the write is sent again", async () => {
      await using opened = await open(server);
      await using locker = await openClient(server);
      await using observer = await openClient(server);
      await locker.query("BEGIN; LOCK TABLE mecha.state");
      const { write, pid } = await startWrite(opened.store, observer);
      await observer.query("SELECT pg_terminate_backend($1)", [pid]);
      await locker.query("ROLLBACK");
      await write;
      expect(textOf(await opened.store.get({ keyspace, key: "key" }))).toBe("w");
    });

    test("one that takes too long is undone, and says so", async () => {
      await using opened = await open(server, { statementTimeoutMs: 200 });
      await using locker = await openClient(server);
      await using observer = await openClient(server);
      await locker.query("BEGIN; LOCK TABLE mecha.state");
      const { write } = await startWrite(opened.store, observer);
      const error = await failure(write);
      expect(error.reason).toBe("COMPONENT_UNAVAILABLE");
      expect(error.message).toContain("statementTimeoutMs");
    });

    test("a caller that gives up before it was answered is told OUTCOME_UNKNOWN at once", async () => {
      await using opened = await open(server);
      await using locker = await openClient(server);
      await locker.query("BEGIN; LOCK TABLE mecha.state");
      const error = await failure(set(opened.store, "key", "w", AbortSignal.timeout(50)));
      expect(error.reason).toBe("OUTCOME_UNKNOWN");
      await locker.query("ROLLBACK");
    });
  });

  test("more callers than may wait for a connection are refused at once, the others are served", async () => {
    await using opened = await open(server, { pool: 1 });
    await using locker = await openClient(server);
    await set(opened.store, "key", "v");
    await locker.query("BEGIN; LOCK TABLE mecha.state");
    const refusals: unknown[] = [];
    const calls = Array.from({ length: 2_101 }, async () => {
      try {
        return (await opened.store.list(everything)).items.length;
      } catch (error) {
        refusals.push(error);
        return 1;
      }
    });
    // One is under way (or two: a notice to other runtimes is a call as well), 2,000 wait.
    await eventually("the others are refused", () => refusals.length >= 99);
    for (const refusal of refusals) expect(refusal).toMatchObject({ reason: "RATE_LIMITED", retryAfterMs: 500 });
    await locker.query("ROLLBACK");
    expect(await Promise.all(calls)).toEqual(calls.map(() => 1));
    expect(refusals.length).toBeLessThan(105);
  });

  test("connections that broke while they were idle cost no caller anything", async () => {
    await using opened = await open(server);
    await using client = await openClient(server);
    await Promise.all(Array.from({ length: 50 }, (_, index) => set(opened.store, `key-${index}`, "v")));
    await client.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mecha/postgres'",
    );
    const reads = Array.from({ length: 50 }, (_, index) => opened.store.get({ keyspace, key: `key-${index}` }));
    for (const item of await Promise.all(reads)) expect(textOf(item)).toBe("v");
  });

  test("a watch outlives an outage and reports what changed since", async () => {
    await using opened = await open(server);
    const seen = new Map<string, string | undefined>();
    let isSynced = false;
    const ending = new AbortController();
    // A crash may set PostgreSQL's transaction ids back by those that were never written. What bears them afterwards would be missed, so the watch
    // then ends with RESUME_EXPIRED, which says to watch again without a token, as clients do.
    const watch = async (): Promise<void> => {
      const call = { keyspace, target: { prefix: "watched-" }, resumeToken: undefined, signal: ending.signal };
      for await (const batch of opened.store.watch(call)) {
        for (const change of batch) {
          if (change.type === "item") seen.set(change.item.key, textOf(change.item));
          if (change.type === "deleted") seen.delete(change.key);
          if (change.type === "synced") isSynced = true;
        }
      }
    };
    const watching = watch().catch((error: unknown) => {
      if (!(error instanceof ComponentError && error.reason === "RESUME_EXPIRED")) throw error;
      return watch();
    });
    await set(opened.store, "watched-1", "before");
    // Before it has told what was there, whoever watches is told of the outage, and begins anew.
    await eventually("the watch runs", () => isSynced && seen.get("watched-1") === "before");
    await server.kill();
    await server.start();
    await using other = await open(server);
    await set(other.store, "watched-2", "after");
    await eventually("the watch goes on", () => seen.get("watched-2") === "after");
    ending.abort();
    await watching;
  });

  test("health says what is wrong, and when it is well again", async () => {
    await using opened = await open(server);
    await opened.component.health(AbortSignal.timeout(5_000));
    await server.stop();
    await eventually("health fails", () =>
      opened.component.health(AbortSignal.timeout(5_000)).then(
        () => false,
        () => true,
      ),
    );
    const error = await failure(opened.component.health(AbortSignal.timeout(5_000)));
    expect(error.message).toContain(`connection refused at 127.0.0.1:${server.port}; is PostgreSQL running?`);
    await server.start();
    await eventually("health is back", () =>
      opened.component.health(AbortSignal.timeout(5_000)).then(
        () => true,
        () => false,
      ),
    );
  });
});
