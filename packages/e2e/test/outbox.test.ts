import { createClient } from "@connectrpc/connect";
import { RuntimeService } from "@mecha/api/runtime";
import { connectRuntime } from "@mecha/client";
import { createPubSubClient } from "@mecha/pubsub";
import { createStateClient, operation } from "@mecha/state";
import { missing, startPostgres, startRedis, type TestServer, type Tool } from "@mecha/test-servers";
import { describe, expect, test } from "vitest";
import { serveMecha } from "../src/mecha.ts";

const rounds = 20;
const writers = 8;
const topic = "orders";

/** Where the state and the events are. */
interface Setting {
  readonly name: string;
  readonly needs: readonly Tool[];
  startServer?(): Promise<TestServer>;
  /** Whether the events go to another component than the state. */
  readonly isRelayed: boolean;
  /** The components, each for its blocks. Undefined: the embedded default for both. */
  resources(server: TestServer | undefined): string | undefined;
}

const component = (name: string, type: string, serves: string, config: object) => `apiVersion: mecha.dev/v1
kind: Component
metadata: { name: ${name} }
spec: { type: ${type}, blocks: [${serves}], config: ${JSON.stringify(config)} }
`;

const settings: readonly Setting[] = [
  { name: "sqlite, both in one transaction", needs: [], isRelayed: false, resources: () => undefined },
  {
    name: "sqlite, events handed over to another sqlite",
    needs: [],
    isRelayed: true,
    resources: () =>
      [
        component("state", "sqlite", "state", { path: "state.db" }),
        component("events", "sqlite", "pubsub", { path: "events.db" }),
      ].join("---\n"),
  },
  {
    name: "postgres, both in one transaction",
    needs: ["postgres"],
    isRelayed: false,
    startServer: startPostgres,
    resources: (server) => component("main", "postgres", "state, pubsub", { url: server?.url }),
  },
  {
    name: "postgres, events handed over to sqlite",
    needs: ["postgres"],
    isRelayed: true,
    startServer: startPostgres,
    resources: (server) =>
      [
        component("state", "postgres", "state", { url: server?.url }),
        component("events", "sqlite", "pubsub", { path: "events.db" }),
      ].join("---\n"),
  },
  {
    name: "redis, both in one transaction",
    needs: ["redis"],
    isRelayed: false,
    startServer: () => startRedis({ appendfsync: "always" }),
    resources: (server) => component("main", "redis", "state, pubsub", { url: server?.url }),
  },
];

/** What an event says: which key its transaction wrote. */
interface Placed {
  readonly key: string;
}

describe.each(settings)("$name", ({ needs, isRelayed, startServer, resources }) => {
  describe.skipIf(needs.length > 0 && missing(...needs))("a runtime that is killed at any moment", () => {
    test(`publishes what was committed, all of it and nothing else, in order, ${rounds} times`, async () => {
      await using server = await startServer?.();
      const yaml = resources(server);
      await using mecha = await serveMecha(yaml === undefined ? {} : { resources: yaml });
      const received: string[] = [];
      const consuming = new AbortController();
      const consumed = consume(mecha.endpoint, received, consuming.signal);

      const acknowledged = new Set<string>();
      const counts = Array.from({ length: writers }, () => 0);
      for (let round = 0; round < rounds; round++) {
        const killed = new AbortController();
        const before = acknowledged.size;
        const writing = counts.map((_, writer) => write(mecha.endpoint, writer, counts, acknowledged, killed.signal));
        await until(() => acknowledged.size > before + writers, "transactions are acknowledged");
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 100));
        await mecha.kill("SIGKILL");
        killed.abort();
        await Promise.all(writing);
        await mecha.start();
      }

      await using runtime = connectRuntime({ endpoint: mecha.endpoint });
      await using state = createStateClient({ transport: runtime.transport });
      // One more of each writer: when they are here, so is everything before them, since order is kept for each writer.
      const last = counts.map((count, writer) => `order/${writer}/${count + 1}`);
      await state.transact(last.flatMap((key, writer) => [operation.set(key, { writer }), place(key, writer)]));
      await until(() => last.every((key) => received.includes(key)), "the last events come");
      consuming.abort();
      await consumed;

      const committed = new Set<string>();
      for await (const { key } of state.listKeys({ prefix: "order/" })) committed.add(key);
      expect(missingIn(committed, acknowledged), "acknowledged and not there").toEqual([]);
      expect(missingIn(new Set(received), committed), "committed, and no event came").toEqual([]);
      expect(missingIn(committed, received), "events of transactions that never were").toEqual([]);
      const first = [...new Set(received)];
      for (let writer = 0; writer < writers; writer++) {
        const numbers = first.filter((key) => key.startsWith(`order/${writer}/`)).map(numberOf);
        expect(numbers, `writer ${writer}`).toEqual(numbers.toSorted((a, b) => a - b));
      }
      expect(acknowledged.size).toBeGreaterThan(rounds * writers);
      const { components } = await createClient(RuntimeService, runtime.transport).getInfo({});
      const outboxes = components.flatMap((found) => found.outboxes);
      expect(outboxes.map(({ pubsub }) => pubsub)).toEqual(isRelayed ? ["events"] : []);
      console.log(`${committed.size} committed, ${received.length - committed.size} events came more than once`);
    }, 400_000);
  });
});

const missingIn = (found: ReadonlySet<string>, wanted: Iterable<string>) =>
  [...wanted].filter((key) => !found.has(key));

const numberOf = (key: string) => Number(key.slice(key.lastIndexOf("/") + 1));

const place = (key: string, writer: number) =>
  operation.publish(topic, { key } satisfies Placed, { orderingKey: `writer-${writer}` });

/** Places orders until the runtime is gone; every other transaction is refused, and would say so by its event. */
async function write(
  endpoint: string,
  writer: number,
  counts: number[],
  acknowledged: Set<string>,
  killed: AbortSignal,
): Promise<void> {
  await using state = createStateClient({ endpoint, retry: false });
  while (!killed.aborted) {
    const count = (counts[writer] ?? 0) + 1;
    counts[writer] = count;
    const key = `order/${writer}/${count}`;
    try {
      await state.transact([place(key, writer), operation.set(key, { writer })]);
      acknowledged.add(key);
      const lost = `lost/${writer}/${count}`;
      const refused = state.transact([
        place(lost, writer),
        operation.set(lost, 1),
        operation.check(key, { ifAbsent: true }),
      ]);
      await expect(refused).rejects.toThrow();
    } catch {
      return;
    }
  }
}

/** Takes events until `signal` aborts, across all restarts. */
async function consume(endpoint: string, received: string[], signal: AbortSignal): Promise<void> {
  await using pubsub = createPubSubClient({ endpoint });
  const settings = { ordered: true, start: "earliest", ackTimeout: "2s" } as const;
  const options = { settings, signal, reconnectTimeoutMs: 120_000 };
  await pubsub.subscribe<Placed>(topic, ({ data }) => void received.push(data.key), options).closed;
}

/** Polls until something holds. */
async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const deadline = Date.now() + 60_000; !(await holds()); ) {
    if (Date.now() > deadline) throw new Error(`not within 60 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
