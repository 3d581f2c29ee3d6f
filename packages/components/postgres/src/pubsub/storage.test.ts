import { startComponent } from "@mecha/component/conformance";
import { missing, startPostgres, type TestServer } from "@mecha/test-servers";
import type { Client } from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { startCuttingProxy } from "../../test/cutting-proxy.js";
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
import { eventually, failure, openClient } from "../../test/support.js";
import type { Connection, Row, Statement, Value } from "../connection.js";
import { postgres } from "../index.js";
import { migrate, migrations } from "../schema.js";
import { Retention } from "./retention.js";

const logger = { debug() {}, info() {}, warn() {}, error() {} };
const hourMs = 60 * 60 * 1000;

describe.skipIf(missing("postgres"))("events", { timeout: 60_000 }, () => {
  let server: TestServer;
  let client: Client;
  beforeAll(async () => {
    server = await startPostgres();
    client = await openClient(server);
  });
  afterAll(async () => {
    await client.end();
    await server[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await client.query("DROP SCHEMA IF EXISTS mecha CASCADE");
  });

  async function openHere() {
    const component = await startComponent(postgres, { url: server.url });
    let closing: Promise<void> | undefined;
    const close = () => (closing ??= component.close());
    onTestFinished(close);
    return { close, pubsub: pubsubOf(component) };
  }

  const count = async (table: string): Promise<number> => {
    const { rows } = await client.query<{ count: string }>(`SELECT count(*) FROM mecha.${table}`);
    return Number(rows[0]?.count);
  };

  /** What a sweep needs of a connection, over the test's own. */
  const connection: Pick<Connection, "schema" | "query"> = {
    schema: "mecha",
    async query(statement: Statement, values: readonly Value[]): Promise<Row[]> {
      const { rows } = await client.query<string[]>({ text: statement.text, values: [...values], rowMode: "array" });
      return rows.map((row) => row.map((value) => (value === null ? null : String(value))));
    },
  };

  async function sweep(retentionMs = hourMs): Promise<void> {
    const retention = new Retention(connection, { retentionMs, logger });
    await retention.sweep();
    retention.close();
  }

  test("a schema from before there was pubsub keeps its state, and serves events", async () => {
    await migrate(client, "mecha", migrations.slice(0, 1));
    const { pubsub } = await openHere();
    await openGroup(pubsub);
    await publish(pubsub, "first");
    expect((await takeNow(pubsub.consume(call))).map(text)).toEqual(["first"]);
  });

  test("an event whose transaction commits late is not passed over", async () => {
    const { pubsub } = await openHere();
    await openGroup(pubsub);
    await openGroup(pubsub, {}, "shop/other");
    const source = pubsub.consume(call);
    await publish(pubsub, "before");
    await settleAll(source, await takeNow(source));
    // As a publish of another runtime that is slow to commit.
    await client.query("BEGIN");
    await client.query(`
      SELECT mecha.pubsub_publish((SELECT array_agg(id) FROM mecha.pubsub_topic), ARRAY[gen_random_uuid()], '{""}', '{0}', ARRAY[NULL::bigint], '{late}')`);
    await publish(pubsub, "early");
    expect((await takeNow(source)).map(text)).toEqual([]);
    await client.query("COMMIT");
    expect((await take(source)).map(text)).toEqual(["late", "early"]);
    expect((await takeNow(pubsub.consume({ ...call, group: "shop/other" }))).map(text)).toEqual([
      "before",
      "late",
      "early",
    ]);
  });

  test("a publish that is undone holds nobody up, nor does a long transaction of somebody else", async () => {
    const { pubsub } = await openHere();
    await openGroup(pubsub);
    const source = pubsub.consume(call);
    await client.query("BEGIN");
    await client.query(`
      SELECT mecha.pubsub_publish((SELECT array_agg(id) FROM mecha.pubsub_topic), ARRAY[gen_random_uuid()], '{""}', '{0}', ARRAY[NULL::bigint], '{undone}')`);
    await publish(pubsub, "kept");
    await client.query("ROLLBACK");
    expect((await take(source)).map(text)).toEqual(["kept"]);
    await client.query("CREATE TABLE IF NOT EXISTS foreign_table (n integer)");
    await client.query("BEGIN");
    await client.query("INSERT INTO foreign_table VALUES (1)");
    await publish(pubsub, "meanwhile");
    expect((await take(source)).map(text)).toEqual(["meanwhile"]);
    await client.query("ROLLBACK");
  });

  test("with many publishers of several components at once a group gets each event, in the order of each", async () => {
    const [here, there] = [await openHere(), await openHere()];
    await openGroup(here.pubsub, { ordered: true });
    const publishers = namesOf(12, "publisher");
    const each = 30;
    const received = new Map<string, number[]>(publishers.map((name) => [name, []]));
    const source = there.pubsub.consume(call);
    const publishing = Promise.all(
      publishers.map(async (name, index) => {
        const { pubsub } = index % 2 === 0 ? here : there;
        for (let number = 0; number < each; number++) {
          const entries = [entry(`${name}:${number}`, { orderingKey: name })];
          await pubsub.publish({ keyspace: call.keyspace, entries });
        }
      }),
    );
    let total = 0;
    await eventually(
      "all come",
      async () => {
        const leases = await take(source);
        for (const lease of leases) {
          const [name = "", number] = text(lease).split(":");
          received.get(name)?.push(Number(number));
        }
        await settleAll(source, leases);
        total += leases.length;
        return total === publishers.length * each;
      },
      40_000,
    );
    await publishing;
    for (const numbers of received.values())
      expect(numbers).toEqual(Array.from({ length: each }, (_, number) => number));
  });

  test("are forgotten when they are old and no group needs them", async () => {
    const { pubsub } = await openHere();
    await openGroup(pubsub);
    const names = namesOf(2_500);
    for (let at = 0; at < names.length; at += 500) await publish(pubsub, ...names.slice(at, at + 500));
    const source = pubsub.consume(call);
    let kept = "";
    for (let taken = 0; taken < names.length; ) {
      const leases = await takeNow(source, 256);
      taken += leases.length;
      const [first, ...rest] = leases;
      if (kept === "" && first !== undefined) {
        kept = text(first);
        await source.settle([{ type: "dead", handle: first.handle, error: "no" }]);
        await settleAll(source, rest);
      } else await settleAll(source, leases);
    }
    await publish(pubsub, "not delivered yet");
    await sweep();
    expect(await count("pubsub_event")).toBe(2_502 - 1);
    await client.query("UPDATE mecha.pubsub_event SET published = published - interval '2 hours'");
    await client.query("UPDATE mecha.pubsub_seen SET expires = expires - interval '2 hours'");
    await sweep();
    expect(await count("pubsub_event")).toBe(2);
    expect(await count("pubsub_seen")).toBe(0);
    const { deadLetters } = await pubsub.listDeadLetters({ ...call, after: undefined, limit: 10, maxBytes: 1024 });
    expect(deadLetters.map(text)).toEqual([kept]);
    expect((await takeNow(source)).map(text)).toEqual(["not delivered yet"]);
  });

  test("that nobody needs are found behind those that are needed for long", async () => {
    const { pubsub } = await openHere();
    await openGroup(pubsub);
    const source = pubsub.consume(call);
    for (const name of ["first", "second"]) {
      await publish(pubsub, ...namesOf(1_000, name));
      for (let taken = 0; taken < 1_000; ) {
        const leases = await takeNow(source, 256);
        taken += leases.length;
        if (name === "first") await source.settle(leases.map(({ handle }) => ({ type: "dead", handle, error: "" })));
        else await settleAll(source, leases);
      }
    }
    await client.query("UPDATE mecha.pubsub_event SET published = published - interval '2 hours'");
    await sweep();
    expect(await count("pubsub_event")).toBe(1_000);
  });

  test("many dead letters are requeued and dropped in bounded steps", async () => {
    const { pubsub } = await openHere();
    await openGroup(pubsub);
    await publish(pubsub, ...namesOf(700));
    const source = pubsub.consume(call);
    const bury = async () => {
      for (let taken = 0; taken < 700; ) {
        const leases = await takeNow(source, 256);
        taken += leases.length;
        await source.settle(leases.map(({ handle }) => ({ type: "dead", handle, error: "" })));
      }
    };
    await bury();
    expect(await pubsub.requeueDeadLetters({ ...call, ids: undefined })).toBe(700);
    await bury();
    expect(await pubsub.dropDeadLetters({ ...call, ids: undefined })).toBe(700);
    expect(await count("pubsub_delivery")).toBe(0);
  });

  test("that expired behind their ordering key are passed over", async () => {
    const { pubsub } = await openHere();
    await openGroup(pubsub, { ordered: true });
    const mortal = namesOf(600).map((name) => entry(name, { orderingKey: "k", ttlMs: 60_000 }));
    const entries = [entry("ahead", { orderingKey: "k" }), ...mortal, entry("lasting", { orderingKey: "k" })];
    await pubsub.publish({ keyspace: call.keyspace, entries });
    const source = pubsub.consume(call);
    const [ahead] = await takeNow(source);
    while ((await takeNow(source)).length > 0 || (await count("pubsub_delivery")) < entries.length);
    await client.query("UPDATE mecha.pubsub_delivery SET expires = now() WHERE expires IS NOT NULL");
    await source.settle([{ type: "ack", handle: ahead?.handle ?? "" }]);
    expect((await take(source)).map(text)).toEqual(["lasting"]);
    expect(await count("pubsub_delivery")).toBe(1);
  });

  test("a handle is taken for what it is only with its token", async () => {
    const { pubsub } = await openHere();
    await openGroup(pubsub);
    await publish(pubsub, "guarded");
    const source = pubsub.consume(call);
    const [lease] = await takeNow(source);
    const [seq = "", token = ""] = lease?.handle.split(".") ?? [];
    const other = token.replace(/[0-9a-f]/g, (digit) => (digit === "0" ? "1" : "0"));
    const forged = [`${seq}.${other}`, `${seq}.`, seq, `${Number(seq) + 1}.${token}`, `${seq}.${token}x`, `${seq}.%`];
    expect(await source.settle(forged.map((handle) => ({ type: "ack", handle })))).toEqual(forged.map(() => false));
    expect(await source.extend([...forged, lease?.handle ?? ""], 60_000)).toEqual([...forged.map(() => false), true]);
  });

  test("larger than a claim carries are read after it", async () => {
    const { pubsub } = await openHere();
    await openGroup(pubsub);
    const payloads = [1, 2, 3].map((fill) => new Uint8Array(100_000).fill(fill));
    const entries = payloads.map((payload, index) => ({ ...entry(String(index)), payload }));
    await pubsub.publish({ keyspace: call.keyspace, entries });
    const leases = await takeNow(pubsub.consume(call));
    expect(leases.map(({ payload }) => Uint8Array.from(payload))).toEqual(payloads);
  });

  test("a component that closes hands back what its consumers hold, and wakes those of others", async () => {
    const [here, there] = [await openHere(), await openHere()];
    await openGroup(here.pubsub);
    await publish(here.pubsub, "held");
    expect(await takeNow(here.pubsub.consume(call))).toHaveLength(1);
    const waiting = take(there.pubsub.consume(call));
    await here.close();
    const [again] = await waiting;
    expect(again?.attempt).toBe(1);
  });

  test("what a consumer is about to get when its component closes is handed back too", async () => {
    const [here, there] = [await openHere(), await openHere()];
    await openGroup(here.pubsub);
    const sources = namesOf(8).map(() => here.pubsub.consume(call));
    await Promise.all(sources.map((source) => takeNow(source)));
    await publish(there.pubsub, ...namesOf(8));
    // One is under way and the others are behind it, while it closes.
    const taking = sources.map((source) => takeNow(source, 1));
    await new Promise(setImmediate);
    await here.close();
    const given = await Promise.all(taking);
    expect(given.flat().length).toBeLessThan(8);
    // What went back comes first, then what nobody was given.
    const source = there.pubsub.consume(call);
    const again = [...(await takeNow(source)), ...(await takeNow(source))];
    expect(again.map(({ attempt }) => attempt)).toEqual(namesOf(8).map(() => 1));
  });

  test("a claim whose answer was lost is handed back, at no cost of an attempt", async () => {
    await using proxy = await startCuttingProxy(server);
    const component = await startComponent(postgres, { url: proxy.url });
    onTestFinished(() => component.close());
    const pubsub = pubsubOf(component);
    await openGroup(pubsub);
    await publish(pubsub, "kept");
    const source = pubsub.consume(call);
    await takeNow(source).then((leases) => settleAll(source, leases, "release"));
    proxy.cutAnswerTo("pubsub_claim");
    expect((await failure(takeNow(source))).reason).toBe("OUTCOME_UNKNOWN");
    const { rows } = await client.query(
      "SELECT attempts FROM mecha.pubsub_delivery WHERE token IS NOT NULL AND due > now()",
    );
    expect(rows, "it was leased, to nobody").toEqual([{ attempts: 1 }]);
    expect((await takeNow(source)).map((lease) => [text(lease), lease.attempt])).toEqual([["kept", 1]]);
  });
});
