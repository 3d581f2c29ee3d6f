import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { ComponentError } from "@mecha/component";
import { pubsubOutage, startComponent } from "@mecha/component/conformance";
import { missing, startPostgres, type TestServer } from "@mecha/test-servers";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import {
  call,
  entry,
  namesOf,
  openGroup,
  publish,
  pubsubOf,
  settleAll,
  take,
  takeNow,
  text,
} from "../../test/events.js";
import { eventually, keyspace, openClient, setOf, textOf } from "../../test/support.js";
import { postgres } from "../index.js";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** What may be met while a server comes and goes. */
const passes = (error: unknown) =>
  error instanceof ComponentError &&
  ["COMPONENT_UNAVAILABLE", "OUTCOME_UNKNOWN", "RATE_LIMITED"].includes(error.reason);

describe.skipIf(missing("postgres"))("events and a server in trouble", { timeout: 120_000 }, () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server[Symbol.asyncDispose]());
  beforeEach(async () => {
    await using client = await openClient(server);
    await client.query("DROP SCHEMA IF EXISTS mecha CASCADE");
  });

  async function openHere() {
    const component = await startComponent(postgres, {
      url: server.url,
      statementTimeoutMs: 2_000,
      connectTimeoutMs: 1_000,
    });
    onTestFinished(() => component.close());
    return { component, pubsub: pubsubOf(component), state: component.blocks.state };
  }

  test("a server that hangs under load and goes on loses nothing that was answered, and no order", async () => {
    const { pubsub } = await openHere();
    await openGroup(pubsub);
    await openGroup(pubsub, { ordered: true }, "shop/ordered");
    const acknowledged = new Map<string, number>();
    const stop = new AbortController();
    let failures = 0;
    // Each publisher sends a number until it is answered, so that no later one of its key is ever before it.
    const publishing = namesOf(8, "key").map(async (orderingKey) => {
      for (let number = 0; !stop.signal.aborted; ) {
        try {
          const entries = [entry(`${orderingKey}:${number}`, { orderingKey })];
          await pubsub.publish({ keyspace: call.keyspace, entries, signal: AbortSignal.timeout(1_500) });
          acknowledged.set(orderingKey, number++);
        } catch (error) {
          if (!passes(error) && !(error instanceof DOMException)) throw error;
          failures++;
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      }
    });
    const done = new AbortController();
    const received = new Map([call.group, "shop/ordered"].map((group) => [group, new Map<string, number[]>()]));
    const consuming = [...received].flatMap(([group, keys]) =>
      [0, 1].map(async () => {
        const source = pubsub.consume({ ...call, group });
        while (!done.signal.aborted) {
          try {
            const ask = { maxItems: 20, maxBytes: 1_000_000, leaseMs: 2_000, signal: done.signal };
            const leases = await source.receive(ask);
            for (const lease of leases) {
              const numbers = keys.get(lease.orderingKey) ?? [];
              const number = Number(text(lease).split(":")[1]);
              if (!numbers.includes(number)) numbers.push(number);
              keys.set(lease.orderingKey, numbers);
            }
            await settleAll(source, leases);
          } catch (error) {
            if (!passes(error)) throw error;
            await new Promise((resolve) => setTimeout(resolve, 20));
          }
        }
      }),
    );
    const sum = () => [...acknowledged.values()].reduce((total, number) => total + number, 0);
    for (let round = 0; round < 2; round++) {
      const before = sum();
      await eventually("the load runs", () => sum() > before + 100, 30_000);
      const failuresBefore = failures;
      server.pause();
      await eventually("callers are told", () => failures > failuresBefore + 8, 30_000);
      server.resume();
    }
    const before = sum();
    await eventually("the load goes on", () => sum() > before + 100, 30_000);
    stop.abort();
    await Promise.all(publishing);
    const all = (group: string) =>
      [...acknowledged].every(([key, last]) => {
        const numbers = new Set(received.get(group)?.get(key));
        return Array.from({ length: last + 1 }, (_, number) => number).every((number) => numbers.has(number));
      });
    await eventually("all that was answered is delivered", () => all(call.group) && all("shop/ordered"), 30_000);
    done.abort();
    await Promise.all(consuming);
    for (const numbers of received.get("shop/ordered")?.values() ?? []) {
      expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    }
  });

  const cases = pubsubOutage({
    startServer: () => startPostgres(),
    open: ({ url }) => startComponent(postgres, { url, statementTimeoutMs: 2_000, connectTimeoutMs: 1_000 }),
    features: ["ORDERED"],
    rounds: 4,
  });
  // Of a server that hangs, a call may find no connection that is free: then it is COMPONENT_UNAVAILABLE, since nothing was sent. See above.
  const isSent = ({ name }: { name: string }) => !name.includes("server that hangs");
  for (const { name, run } of cases.filter(isSent)) test(name, run);

  test("a consumer that waits while the server crashes gets what is published afterwards", async () => {
    const [here, there] = [await openHere(), await openHere()];
    await openGroup(here.pubsub);
    const source = here.pubsub.consume(call);
    const ask = { maxItems: 10, maxBytes: 1_000_000, leaseMs: 30_000, signal: new AbortController().signal };
    const waiting = source.receive(ask);
    waiting.catch(() => {});
    {
      await using client = await openClient(server);
      await eventually("it waits, and looks now and then", async () => {
        const { rowCount } = await client.query(
          "SELECT FROM pg_stat_activity WHERE query LIKE '%due - clock_timestamp()%' AND state = 'idle'",
        );
        return rowCount !== 0;
      });
    }
    await server.kill();
    await server.start();
    await eventually("it can be published", () =>
      publish(there.pubsub, "after").then(
        () => true,
        () => false,
      ),
    );
    expect((await waiting).map(text)).toEqual(["after"]);
  });

  test("a crash leaves no write without its event, and no event without its write", async () => {
    const { pubsub, state } = await openHere();
    await openGroup(pubsub);
    const sent = new Set<string>();
    const answered = new Set<string>();
    const stop = new AbortController();
    const writing = namesOf(8, "writer").map(async (writer) => {
      for (let number = 0; !stop.signal.aborted; number++) {
        const key = `${writer} ${number}`;
        sent.add(key);
        const publishes = [{ keyspace: call.keyspace, entry: entry(key) }];
        try {
          await state?.write({ keyspace, operations: [setOf(key, "v")], publishes, requestId: undefined });
          answered.add(key);
        } catch (error) {
          if (!passes(error)) throw error;
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      }
    });
    for (let round = 0; round < 3; round++) {
      const before = answered.size;
      await eventually("the load runs", () => answered.size > before + 50, 30_000);
      await server.kill();
      await server.start();
    }
    const before = answered.size;
    await eventually("the load goes on", () => answered.size > before + 50, 30_000);
    stop.abort();
    await Promise.all(writing);
    const source = pubsub.consume(call);
    const delivered = new Set<string>();
    for (let leases = await take(source); leases.length > 0; leases = await take(source)) {
      for (const lease of leases) delivered.add(text(lease));
      await settleAll(source, leases);
    }
    for (const key of sent) {
      const isWritten = textOf(await state?.get({ keyspace, key })) === "v";
      expect([key, delivered.has(key)]).toEqual([key, isWritten]);
      if (answered.has(key)) expect(isWritten, key).toBe(true);
    }
  });

  test("a long backlog takes no memory, and slows nobody down", async () => {
    const { pubsub } = await openHere();
    await openGroup(pubsub);
    await publish(pubsub, "makes the topic");
    const source = pubsub.consume(call);
    const cost = async () => {
      const started = performance.now();
      for (let round = 0; round < 20; round++) await settleAll(source, await takeNow(source, 10), "release");
      return performance.now() - started;
    };
    await publish(pubsub, ...namesOf(100));
    await cost();
    const short = await cost();
    const used = () => {
      collectGarbage();
      return process.memoryUsage().rss;
    };
    const before = used();
    await using client = await openClient(server);
    const backlog = 100_000;
    await client.query(`
      INSERT INTO mecha.pubsub_event (topic, published, ordering_key, payload)
      SELECT id, now(), '', decode(repeat('07', 256), 'hex') FROM mecha.pubsub_topic, generate_series(1, ${backlog})`);
    const long = await cost();
    expect(await pubsub.backlog(call)).toBe(backlog + 101);
    expect(long).toBeLessThan(short * 3 + 500);
    for (let taken = 0; taken < 2_000; ) {
      const leases = await takeNow(source, 256);
      taken += leases.length;
      await settleAll(source, leases);
    }
    expect(used() - before).toBeLessThan(32 * 1024 * 1024);
  });
});
