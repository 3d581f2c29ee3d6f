import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type PubSubEntry, pubsubLimits } from "@mecha/component";
import { createManualClock, startComponent } from "@mecha/component/conformance";
import { expect, onTestFinished, test, vi } from "vitest";
import { call, entry, openGroup, pubsubOf, text } from "../test/events.ts";
import { stateOf, text as stateText } from "../test/operations.ts";
import { temporaryFolder } from "../test/temporary-folder.ts";
import { sqlite } from "./index.js";
import { inspectLayout, layouts, migrate } from "./schema.js";

const hourMs = 60 * 60 * 1000;
const now = AbortSignal.abort();
const ask = { maxItems: 100, maxBytes: 1024 * 1024, leaseMs: 30_000, signal: now };

async function open(dataDir: string, config: { eventRetentionHours?: number } = {}) {
  const clock = createManualClock();
  const component = await startComponent(sqlite, config, { dataDir, clock });
  let closing: Promise<void> | undefined;
  const close = () => (closing ??= component.close());
  onTestFinished(close);
  const pubsub = pubsubOf(component);
  const db = new DatabaseSync(join(dataDir, "mecha.db"), { readOnly: true });
  onTestFinished(() => db.close());
  return {
    clock,
    component,
    close,
    pubsub,
    publish: (...names: string[]) =>
      pubsub.publish({ keyspace: call.keyspace, entries: names.map((name) => entry(name)) }),
    count: (table: string) => Number(db.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.n),
  };
}

test("a file from before there was pubsub keeps its state, and serves events", async () => {
  const dataDir = temporaryFolder();
  const old = new DatabaseSync(join(dataDir, "mecha.db"));
  migrate(old, layouts.slice(0, 1));
  old.exec(`
    INSERT INTO state_item (keyspace, key, revision, content_type, update_time, value) VALUES ('test/app', 'k', 1, '', 1, CAST('v' AS BLOB));
    UPDATE meta SET value = 1 WHERE name = 'revision';
  `);
  expect(inspectLayout(old)).toBe(1);
  old.close();
  const { component, pubsub, publish } = await open(dataDir);
  expect(await stateText(stateOf(component), "k")).toBe("v");
  await openGroup(pubsub);
  await publish("first");
  expect((await pubsub.consume(call).receive(ask)).map(text)).toEqual(["first"]);
});

test("events are forgotten when they are old and no group needs them", async () => {
  const { clock, pubsub, publish, count } = await open(temporaryFolder(), { eventRetentionHours: 1 });
  await openGroup(pubsub);
  const names = Array.from({ length: 600 }, (_, index) => `event ${index}`);
  await publish(...names);
  const source = pubsub.consume(call);
  const done = [];
  for (let taken = -1; taken !== 0; ) {
    const leases = await source.receive(ask);
    taken = leases.length;
    done.push(...leases);
  }
  expect(done).toHaveLength(600);
  const [kept, ...rest] = done;
  await source.settle(rest.map(({ handle }) => ({ type: "ack", handle })));
  await source.settle([{ type: "dead", handle: kept?.handle ?? "", error: "no" }]);
  await publish("not delivered yet");
  expect(count("pubsub_event")).toBe(601);
  clock.advance(hourMs + 60_000);
  await vi.waitFor(
    () => {
      clock.advance(30_000);
      expect(count("pubsub_event")).toBe(2);
    },
    { timeout: 10_000 },
  );
  expect(count("pubsub_seen")).toBe(0);
  const { deadLetters } = await pubsub.listDeadLetters({ ...call, after: undefined, limit: 10, maxBytes: 1024 });
  expect(deadLetters.map(text)).toEqual([names[0]]);
  expect((await source.receive(ask)).map(text)).toEqual(["not delivered yet"]);
});

test("many at once keep their order whatever they share, and what was there before is found among them", async () => {
  const { clock, pubsub, count } = await open(temporaryFolder());
  await openGroup(pubsub);
  const publish = (entries: PubSubEntry[]) => pubsub.publish({ keyspace: call.keyspace, entries });
  await publish([entry("event 70")]);
  const entries = Array.from({ length: 200 }, (_, index) => {
    if (index >= 90 && index < 100) return entry(`event ${index}`, { topic: "elsewhere" });
    if (index === 120) return entry(`event ${index}`, { delayMs: 60_000 });
    if (index === 130) return entry(`event ${index}`, { ttlMs: 1 });
    return entry(index === 150 ? "event 149" : `event ${index}`, { orderingKey: index % 2 === 0 ? "even" : "" });
  });
  const outcomes = await publish(entries);
  expect(outcomes.map((outcome) => outcome.type === "published" && outcome.duplicate)).toEqual(
    entries.map((_, index) => index === 70 || index === 150),
  );
  expect(count("pubsub_event")).toBe(199);
  clock.advance(10);
  const source = pubsub.consume(call);
  const received: string[] = [];
  for (let leases = await source.receive({ ...ask, maxItems: 256 }); leases.length > 0; ) {
    received.push(...leases.map(text));
    leases = await source.receive({ ...ask, maxItems: 256 });
  }
  const expected = entries.filter(
    ({ topic, delayMs, ttlMs }, index) =>
      topic === call.topic && delayMs === 0 && ttlMs === undefined && index !== 70 && index !== 150,
  );
  expect(received).toEqual(["event 70", ...expected.map(({ id }) => id)]);
});

test("an id is new again when its time is over, before anybody has swept it", async () => {
  const { clock, pubsub, count } = await open(temporaryFolder());
  const publish = async () => {
    const entries = [entry("again"), entry("again"), entry("other")];
    const outcomes = await pubsub.publish({ keyspace: call.keyspace, entries });
    return outcomes.map((outcome) => outcome.type === "published" && outcome.duplicate);
  };
  expect(await publish()).toEqual([false, true, false]);
  expect(await publish()).toEqual([true, true, true]);
  // Advanced at once by all of the time, so that the sweeper has had no turn.
  clock.advance(pubsubLimits.dedupMs);
  expect(await publish()).toEqual([false, true, false]);
  expect(count("pubsub_event")).toBe(4);
});

test("many dead letters are requeued and dropped in bounded steps", async () => {
  const { pubsub, publish, count } = await open(temporaryFolder());
  await openGroup(pubsub);
  await publish(...Array.from({ length: 700 }, (_, index) => `event ${index}`));
  const source = pubsub.consume(call);
  const bury = async () => {
    for (let taken = -1; taken !== 0; ) {
      const leases = await source.receive(ask);
      taken = leases.length;
      await source.settle(leases.map(({ handle }) => ({ type: "dead", handle, error: "" })));
    }
  };
  await bury();
  expect(await pubsub.requeueDeadLetters({ ...call, ids: undefined })).toBe(700);
  await bury();
  expect(await pubsub.dropDeadLetters({ ...call, ids: undefined })).toBe(700);
  expect(count("pubsub_delivery")).toBe(0);
});

test("what expired behind its ordering key is passed over at once", async () => {
  const { clock, pubsub, count } = await open(temporaryFolder());
  await openGroup(pubsub, { ordered: true });
  const mortal = Array.from({ length: 300 }, (_, index) => entry(`event ${index}`, { orderingKey: "k", ttlMs: 1_000 }));
  const entries = [...mortal, entry("lasting", { orderingKey: "k" })];
  await pubsub.publish({ keyspace: call.keyspace, entries });
  const source = pubsub.consume(call);
  const [ahead] = await source.receive(ask);
  clock.advance(2_000);
  await source.settle([{ type: "ack", handle: ahead?.handle ?? "" }]);
  expect((await source.receive(ask)).map(text)).toEqual(["lasting"]);
  expect(count("pubsub_delivery")).toBe(1);
});

test("a handle is taken for what it is only with its token", async () => {
  const { pubsub, publish } = await open(temporaryFolder());
  await openGroup(pubsub);
  await publish("guarded");
  const source = pubsub.consume(call);
  const [lease] = await source.receive(ask);
  const [seq = "", token = ""] = lease?.handle.split(".") ?? [];
  const forged = [
    `${seq}.${"A".repeat(token.length)}`,
    `${seq}.`,
    seq,
    `${Number(seq) + 1}.${token}`,
    `${seq}.${token}x`,
  ];
  expect(await source.settle(forged.map((handle) => ({ type: "ack", handle })))).toEqual(forged.map(() => false));
  expect(await source.extend([...forged, lease?.handle ?? ""], 60_000)).toEqual([...forged.map(() => false), true]);
});

test("a component that closes hands back what its consumers hold", async () => {
  const dataDir = temporaryFolder();
  const first = await open(dataDir);
  await openGroup(first.pubsub);
  await first.publish("held");
  expect(await first.pubsub.consume(call).receive(ask)).toHaveLength(1);
  await first.close();
  const second = await open(dataDir);
  const [again] = await second.pubsub.consume(call).receive(ask);
  expect(again?.attempt).toBe(1);
});
