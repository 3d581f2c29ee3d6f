import { bindingConformance, startComponent } from "@mecha/component/conformance";
import { missing, startMosquitto, type TestServer } from "@mecha/test-servers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { consume, open, publisher, reasonOf, text, unique, until } from "../test/open.js";
import { mqtt } from "./index.js";

describe.skipIf(missing("mosquitto"))("with Mosquitto", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startMosquitto({ persistent: true });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  describe("conformance", () => {
    const topic = unique("suite");
    const names = new WeakMap<object, string>();
    const cases = bindingConformance({
      async open() {
        const own = unique(topic);
        const subscribe = { topics: [own], sessionExpiryMs: 0 };
        const component = await startComponent(mqtt, { url: server.url, clientId: own, subscribe });
        names.set(component, own);
        return component;
      },
      features: ["OUTPUT", "INPUT"],
      works: { operation: "publish", data: "x", metadata: { topic: unique("works") } },
      async trigger(component) {
        await publisher(component)({ topic: names.get(component) ?? "" }, "an event");
      },
    });
    for (const { name, run } of cases) test(name, run);
  });

  test("a message arrives with all that it carries", async () => {
    const topic = unique("orders");
    const component = await open({
      url: server.url,
      clientId: topic,
      subscribe: { topics: [`${topic}/+`, `${topic}/x/#`] },
    });
    const { one, ack } = consume(component);
    const publish = publisher(component);
    const metadata = {
      topic: `${topic}/7`,
      "property.id": "event-7",
      "property.region": "eu",
      responseTopic: "answers",
      correlationData: "AP8=",
      expiry: "1h",
    };
    await publish(metadata, '{"n":1}', "application/json");
    const lease = await one();
    expect(text(lease)).toBe('{"n":1}');
    expect(lease.event).toMatchObject({
      id: "event-7",
      contentType: "application/json",
      metadata: {
        topic: `${topic}/7`,
        qos: "1",
        retain: "false",
        responseTopic: "answers",
        correlationData: "AP8=",
        "property.region": "eu",
      },
    });
    await ack(lease);
    await publish({ topic: `${topic}/x/y/z`, qos: "0" }, "deep");
    expect((await one()).event.metadata).toMatchObject({ topic: `${topic}/x/y/z`, qos: "0" });
  });

  test("the broker is told only what the app is done with: the rest comes again after a restart of the runtime", async () => {
    const topic = unique("work");
    const config = { url: server.url, clientId: topic, subscribe: { topics: [topic] } };
    const first = await open(config);
    const before = consume(first);
    const publish = publisher(await open({ url: server.url }));
    for (const name of ["acked", "given up", "at work", "handed back"]) await publish({ topic }, name);
    const leases = [await before.one(), await before.one(), await before.one(), await before.one()];
    expect(leases.map(text)).toEqual(["acked", "given up", "at work", "handed back"]);
    const handle = (index: number) => leases[index]?.handle ?? "";
    // Out of order: what is done is told at once, whatever came before it.
    await before.source.settle([
      { type: "dead", handle: handle(1), error: "never" },
      { type: "ack", handle: handle(0) },
      { type: "release", handle: handle(3) },
    ]);
    await publish({ topic }, "a moment later");
    await until(
      async () => (await before.take(1, 10)).some((lease) => text(lease) === "a moment later"),
      "the broker has read the acks",
    );
    await first.close();
    const again = consume(await open(config));
    const came = [text(await again.one()), text(await again.one()), text(await again.one())];
    expect(new Set(came)).toEqual(new Set(["at work", "handed back", "a moment later"]));
    expect(await again.take(1, 300)).toEqual([]);
  });

  test("a client that does not ack is sent only what it may have at a time, and goes on as it acks", async () => {
    const topic = unique("flood");
    const component = await open({ url: server.url, clientId: topic, subscribe: { topics: [topic] }, maxInFlight: 10 });
    const { take, ack } = consume(component);
    const publish = publisher(await open({ url: server.url }));
    await Promise.all(Array.from({ length: 100 }, (_, n) => publish({ topic }, String(n))));
    const held = [...(await take())];
    await until(async () => {
      held.push(...(await take(100, 50)));
      return held.length >= 10;
    }, "as many came as may");
    expect(await take(100, 300)).toEqual([]);
    expect(held).toHaveLength(10);
    const seen = new Set(held.map(text));
    await ack(...held);
    await until(async () => {
      const more = await take(100, 100);
      await ack(...more);
      for (const lease of more) seen.add(text(lease));
      return seen.size === 100;
    }, "all came");
  });

  test("replicas that share are each sent a part", async () => {
    const topic = unique("shared");
    const replica = () =>
      open({ url: server.url, clientId: unique(topic), subscribe: { topics: [topic], share: topic } });
    const replicas = [consume(await replica()), consume(await replica())];
    const publish = publisher(await open({ url: server.url }));
    for (let n = 0; n < 40; n++) await publish({ topic }, String(n));
    const seen: string[][] = [[], []];
    await until(async () => {
      for (const [index, { take, ack }] of replicas.entries()) {
        const leases = await take(100, 20);
        await ack(...leases);
        seen[index]?.push(...leases.map(text));
      }
      return seen.flat().length >= 40;
    }, "all came");
    expect(new Set(seen.flat()).size).toBe(40);
    expect(seen.every((part) => part.length > 0 && part.length < 40)).toBe(true);
  });

  test("two clients of one id are told what is wrong", async () => {
    const clientId = unique("twin");
    const first = await open({ url: server.url, clientId });
    const health = async () =>
      String(await first.health(new AbortController().signal).catch((error: unknown) => error));
    await open({ url: server.url, clientId });
    await until(async () => /another client uses clientId/.test(await health()), "the first says why it is unhealthy");
  });

  test.each([
    [{ topic: "" }, /topic/],
    [{ topic: "a/+/b" }, /topic/],
    [{ topic: "a/#" }, /topic/],
    [{ topic: "a\0b" }, /topic/],
    [{ topic: "a", qos: "2" }, /qos/],
    [{ topic: "a", retain: "yes" }, /retain/],
    [{ topic: "a", expiry: "soon" }, /expiry/],
  ])("a message with %j is refused", async (metadata, message) => {
    const publish = publisher(await open({ url: server.url }));
    await expect(publish(metadata)).rejects.toMatchObject({
      reason: "BAD_REQUEST",
      message: expect.stringMatching(message),
    });
  });

  test("a retained message is there for who subscribes later", async () => {
    const topic = unique("retained");
    await publisher(await open({ url: server.url }))({ topic, retain: "true" }, "kept");
    const late = consume(await open({ url: server.url, clientId: topic, subscribe: { topics: [topic] } }));
    const lease = await late.one();
    expect([text(lease), lease.event.metadata.retain]).toEqual(["kept", "true"]);
  });
});

describe.skipIf(missing("mosquitto"))("when Mosquitto goes away", () => {
  test("nothing that was answered is lost, killed and started again in mid-load; and calls are told what became of them", {
    timeout: 120_000,
  }, async () => {
    await using server = await startMosquitto({ persistent: true });
    const topic = unique("load");
    const receiver = await open({ url: server.url, clientId: topic, subscribe: { topics: [topic] } });
    const sender = await open({ url: server.url });
    const { take, ack } = consume(receiver);
    const publish = publisher(sender);

    const answered = new Set<string>();
    const refusals = new Set<string>();
    let sent = 0;
    let stop = false;
    const publishing = Promise.all(
      Array.from({ length: 4 }, async () => {
        while (!stop) {
          const name = String(++sent);
          const reason = await reasonOf(publish({ topic, "property.id": name }, name));
          if (reason === "it did not fail") answered.add(name);
          else {
            refusals.add(reason);
            await new Promise((resolve) => setTimeout(resolve, 10));
          }
        }
      }),
    );
    const received = new Map<string, number>();
    let consumed = false;
    const consuming = (async () => {
      while (!consumed) {
        const leases = await take(50, 100);
        await ack(...leases);
        for (const { event } of leases) received.set(event.id, (received.get(event.id) ?? 0) + 1);
      }
    })();

    for (const end of ["stop", "kill"] as const) {
      const before = answered.size;
      await until(() => answered.size >= before + 200 && received.size > 100, `messages flow before the ${end}`);
      // Mosquitto writes what changed once a second; a crash loses what it has not written, whatever it answered.
      if (end === "kill") {
        stop = true;
        await publishing;
        await new Promise((resolve) => setTimeout(resolve, 2_500));
      }
      await server[end]();
      expect(await reasonOf(publish({ topic }, "x"))).toBe("COMPONENT_UNAVAILABLE");
      await until(
        async () => (await reasonOf(receiver.health(new AbortController().signal))) === "COMPONENT_UNAVAILABLE",
        "it is unhealthy",
      );
      await server.start();
      await until(
        async () => (await reasonOf(receiver.health(new AbortController().signal))) === "it did not fail",
        "it heals by itself",
        60_000,
      );
    }
    stop = true;
    await publishing;
    const lost = () => [...answered].filter((name) => !received.has(name));
    await until(() => lost().length === 0, "all that was answered arrives", 30_000).catch(() => {});
    consumed = true;
    await consuming;
    expect(lost()).toEqual([]);
    expect(
      [...refusals].filter((reason) => reason !== "COMPONENT_UNAVAILABLE" && reason !== "OUTCOME_UNKNOWN"),
    ).toEqual([]);
    expect(answered.size).toBeGreaterThan(200);
  });

  test("what the app is at work on meanwhile reaches it once, and its ack counts when the broker is back", {
    timeout: 60_000,
  }, async () => {
    await using server = await startMosquitto({ persistent: true });
    const topic = unique("at-work");
    const config = { url: server.url, clientId: topic, subscribe: { topics: [topic] } };
    const component = await open(config);
    const { one, take, ack } = consume(component);
    const publish = publisher(component);
    await publish({ topic }, "done while away");
    await publish({ topic }, "done after");
    const [first, second] = [await one(), await one()];
    await server.stop();
    await ack(first);
    await server.start();
    await until(
      async () => (await reasonOf(component.health(new AbortController().signal))) === "it did not fail",
      "it heals",
      30_000,
    );
    expect(await take(10, 500), "neither came again").toEqual([]);
    await ack(second);
    await publish({ topic }, "after");
    await ack(await one());
    await component.close();
    expect(await consume(await open(config)).take(10, 500)).toEqual([]);
  });
});

test("no broker, and no MQTT there, is said in words", async () => {
  await expect(open({ url: "mqtt://127.0.0.1:9" })).rejects.toThrow(/cannot connect.*ECONNREFUSED.*is it running/);
});

test.each([
  [{ url: "http://localhost" }, /mqtt/],
  [{ subscribe: { topics: ["a"] } }, /clientId|is needed with subscribe/],
  [{ clientId: "c", subscribe: { topics: ["a/#/b"] } }, /whole levels/],
  [{ clientId: "c", subscribe: { topics: ["a+"] } }, /whole levels/],
  [{ clientId: "c", subscribe: { topics: [] } }, /./],
  [{ clientId: "c d" }, /1 to 100/],
])("configuration %j is refused", (wrong, message) => {
  const { error } = mqtt.config.safeParse({ url: "mqtt://localhost", ...wrong });
  expect(error?.issues.map((issue) => issue.message).join("; ")).toMatch(message);
});
