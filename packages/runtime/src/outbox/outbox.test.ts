import { ComponentError } from "@mecha/component";
import { expect, test } from "vitest";
import { createWorld, publish, refusal, requirePresent, set } from "../../test/outbox.js";

const away = () => new ComponentError("COMPONENT_UNAVAILABLE", "the test says so", { retryAfterMs: 100 });

test("an event comes to the other component once its transaction is committed, with all that it says", async () => {
  const { start, passes } = await createWorld();
  const app = await start();
  await app.listen("orders");
  const [eventId] = await app.transact(
    publish("orders", "", {
      orderingKey: "order-1",
      event: {
        id: "1",
        source: "urn:shop",
        type: "order.placed",
        subject: "order-1",
        extensions: { traceparent: "00-1-2-01", region: "eu" },
        dataContentType: "text/plain",
        data: new TextEncoder().encode("placed"),
      },
    }),
    set("order-1", "placed"),
  );
  expect(eventId).toBe("1");
  await passes("it is handed over", async () => (await app.backlog()) === 0);
  const { deliveries } = await app.pubsub.pull({ open: { topic: "orders" } });
  expect(deliveries).toMatchObject([
    {
      orderingKey: "order-1",
      attempt: 1,
      event: {
        id: "1",
        source: "urn:shop",
        type: "order.placed",
        subject: "order-1",
        extensions: { traceparent: "00-1-2-01", region: "eu" },
        dataContentType: "text/plain",
      },
    },
  ]);
  expect(new TextDecoder().decode(deliveries[0]?.event?.data)).toBe("placed");
});

test("a refused transaction hands nothing over, and its error names the operation as the request counts", async () => {
  const { start, passes } = await createWorld();
  const app = await start();
  await app.listen("orders");
  const refused = app.transact(publish("orders", "lost"), set("a"), requirePresent("none"));
  expect(await refusal(refused)).toMatchObject({
    reason: "NOT_EXISTS",
    metadata: { operation_index: "2", key: "none" },
  });
  await app.transact(set("a"), publish("orders", "kept"));
  await passes("the outbox is empty", async () => (await app.backlog()) === 0);
  expect(await app.received("orders")).toEqual(["kept"]);
});

test("while the other component is away nothing is given up, however long; then everything comes, in order for each key", async () => {
  const { start, passes, events, logged } = await createWorld();
  const app = await start();
  await app.listen("orders", true);
  events.fault = away;
  const keys = ["a", "b", "c"];
  for (let n = 0; n < 5; n++) {
    for (const orderingKey of keys)
      await app.transact(set(orderingKey), publish("orders", `${orderingKey}${n}`, { orderingKey }));
  }
  await passes("it was tried often", () => events.calls > 40);
  expect(await app.backlog()).toBe(15);
  const complaints = () =>
    logged.filter(({ level, message }) => level === "warn" && message.includes("cannot be handed"));
  expect(complaints()).toHaveLength(1);
  expect(complaints()[0]?.fields).toMatchObject({ store: "main", pubsub: "events" });
  events.fault = undefined;
  const received: string[] = [];
  await passes("everything came", async () => {
    received.push(...(await app.received("orders")));
    return received.length >= 15;
  });
  for (const key of keys) {
    expect(received.filter((name) => name.startsWith(key))).toEqual([0, 1, 2, 3, 4].map((n) => `${key}${n}`));
  }
  expect(await app.backlog()).toBe(0);
  const { deadLetters } = await app.state.listOutboxDeadLetters({});
  expect(deadLetters).toEqual([]);
});

test("a component that is away is asked ever less often, however much waits for it", async () => {
  const { start, passes, events, clock } = await createWorld();
  const app = await start();
  events.fault = away;
  for (let n = 0; n < 10; n++) {
    await app.transact(...Array.from({ length: 100 }, (_, index) => publish("orders", `${n}.${index}`)));
  }
  const began = clock.now();
  await passes("a minute has passed", () => clock.now() - began >= 60_000);
  // 50 to 100 ms, then up to twice that, and so on up to 2.5 to 5 s.
  expect(events.calls).toBeGreaterThan(2);
  expect(events.calls).toBeLessThan(35);
  expect(await app.backlog()).toBe(1_000);
});

test("what the other component refuses is a dead letter; the rest goes on; requeued it is handed over again", async () => {
  const { start, passes, events, logged } = await createWorld();
  const app = await start();
  await app.listen("orders");
  await app.transact(publish("orders", "opens the way"));
  await passes("the way is open", async () => (await app.backlog()) === 0);
  // Its limit falls after the transaction was checked against it.
  events.fault = away;
  await app.transact(
    publish("orders", "x".repeat(2_000), { event: { id: "large", data: new Uint8Array(2_000) }, orderingKey: "k" }),
  );
  await app.transact(publish("orders", "behind", { orderingKey: "k" }));
  await app.transact(publish("orders", "beside"));
  events.maxEventBytes = 1_000;
  events.fault = undefined;
  await passes("what can be is handed over", async () => (await app.backlog()) === 0);
  expect(new Set(await app.received("orders"))).toEqual(new Set(["opens the way", "behind", "beside"]));
  const { deadLetters } = await app.state.listOutboxDeadLetters({});
  expect(deadLetters).toMatchObject([
    {
      entry: { topic: "orders", orderingKey: "k", event: { id: "large" } },
      error: expect.stringContaining("the limit is 1000"),
    },
  ]);
  expect(
    logged.find(({ level, message }) => level === "warn" && message.includes("dead letter"))?.fields,
  ).toMatchObject({
    store: "main",
    pubsub: "events",
    topic: "orders",
    event: "large",
  });

  events.maxEventBytes = 10_000;
  const [letter] = deadLetters;
  const deadLetterIds = [letter?.deadLetterId ?? ""];
  expect(await app.state.requeueOutboxDeadLetters({ selection: { deadLetterIds } })).toMatchObject({ count: 1n });
  await passes("it is handed over", async () => (await app.received("orders")).length === 1);
  expect((await app.state.listOutboxDeadLetters({})).deadLetters).toEqual([]);
});

test("dead letters are listed page by page and can be dropped", async () => {
  const { start, passes, events } = await createWorld();
  const app = await start();
  await app.listen("orders");
  events.fault = () => new ComponentError("BAD_REQUEST", "no such topic, never");
  for (const name of ["a", "b", "c"]) await app.transact(publish("orders", name));
  await passes("all are refused", async () => (await app.backlog()) === 0);
  const first = await app.state.listOutboxDeadLetters({ pageSize: 2 });
  const second = await app.state.listOutboxDeadLetters({ pageSize: 2, pageToken: first.nextPageToken });
  const listed = [...first.deadLetters, ...second.deadLetters].map(({ entry }) =>
    new TextDecoder().decode(entry?.event?.data),
  );
  expect(listed).toEqual(["a", "b", "c"]);
  expect(second.nextPageToken).toBe("");
  expect(await refusal(app.state.dropOutboxDeadLetters({ selection: {} }))).toMatchObject({ reason: "BAD_REQUEST" });
  expect(await refusal(app.state.listOutboxDeadLetters({ pubsub: "main" }))).toMatchObject({ reason: "BAD_REQUEST" });
  expect(await refusal(app.state.listOutboxDeadLetters({ pageToken: "none" }))).toMatchObject({
    reason: "BAD_REQUEST",
  });
  expect(await app.state.dropOutboxDeadLetters({ selection: { all: true } })).toMatchObject({ count: 3n });
  events.fault = undefined;
  expect((await app.state.listOutboxDeadLetters({})).deadLetters).toEqual([]);
  await app.transact(publish("orders", "d"));
  await passes("it is handed over", async () => (await app.backlog()) === 0);
  expect(await app.received("orders")).toEqual(["d"]);
});

test("delay and time to live count from the commit", async () => {
  const { start, passes, events, clock } = await createWorld();
  const app = await start();
  await app.listen("orders");
  events.fault = away;
  await app.transact(publish("orders", "delayed", { delay: { seconds: 600n } }));
  await app.transact(publish("orders", "mortal", { ttl: { seconds: 60n } }));
  await app.transact(publish("orders", "lasting", { ttl: { seconds: 3_600n } }));
  clock.advance(300_000);
  events.fault = undefined;
  await passes("all are handed over, or dropped", async () => (await app.backlog()) === 0);
  expect(await app.received("orders")).toEqual(["lasting"]);
  clock.advance(280_000);
  expect(await app.received("orders")).toEqual([]);
  clock.advance(20_000);
  expect(await app.received("orders")).toEqual(["delayed"]);
  expect((await app.state.listOutboxDeadLetters({})).deadLetters).toEqual([]);
});

test("no app reaches what the outbox keeps", async () => {
  const { start, passes, events } = await createWorld();
  const app = await start();
  await app.listen("orders");
  const inMain = { pubsub: "main", topic: "outbox.events" };
  for (const group of ["relay", "shop"]) {
    await app.pubsub.pull({
      open: { ...inMain, group, settings: { start: { position: { case: "earliest", value: true } } } },
    });
  }
  events.fault = away;
  await app.transact(publish("orders", "kept"));
  await passes("it is in flight", () => events.calls > 0);
  for (const group of ["relay", "shop"]) {
    const { deliveries } = await app.pubsub.pull({ open: { ...inMain, group } });
    expect(deliveries).toEqual([]);
  }
  const data = new TextEncoder().encode("forged");
  await app.pubsub.publish({ pubsub: "main", entry: { topic: "outbox.events", event: { data } } });
  events.fault = undefined;
  await passes("the outbox is empty", async () => (await app.backlog()) === 0);
  expect(await app.received("orders")).toEqual(["kept"]);
});

test("a runtime hands over what another one of its app left, and takes over from one that is away", async () => {
  const { start, passes, events } = await createWorld();
  const early = await start();
  const first = await start();
  await first.listen("orders");
  events.fault = away;
  await first.transact(publish("orders", "left"));
  await passes("it is in flight", () => events.calls > 0);
  await first.close();
  events.fault = undefined;
  // It was there before the way was: it finds it by itself.
  await passes("it is handed over", async () => (await early.received("orders")).includes("left"));
  await early.close();

  events.fault = away;
  const third = await start();
  await third.transact(publish("orders", "left again"));
  await third.close();
  events.fault = undefined;
  const fourth = await start();
  const received: string[] = [];
  await passes("it is handed over", async () => {
    received.push(...(await fourth.received("orders")));
    return received.length > 0;
  });
  expect(received).toEqual(["left again"]);
});

test("several runtimes of an app share the work, and those of another app have no part in it", async () => {
  const { start, passes } = await createWorld();
  const apps = [await start(), await start(), await start()];
  const other = await start({ appId: "billing" });
  const [first] = apps;
  if (first === undefined) throw new Error("there is no runtime");
  await first.listen("orders");
  const count = 60;
  for (let n = 0; n < count; n++)
    await apps[n % apps.length]?.transact(set(`order-${n}`), publish("orders", String(n)));
  const received: string[] = [];
  await passes("everything came", async () => {
    received.push(...(await first.received("orders")));
    return received.length >= count && (await first.backlog()) === 0;
  });
  expect(received.toSorted((a, b) => Number(a) - Number(b))).toEqual(
    Array.from({ length: count }, (_, n) => String(n)),
  );
  expect(await other.backlog()).toBeUndefined();
});

test("a runtime that stops waits for no component that is away, and hands back what it held", async () => {
  const { start, passes, events, clock } = await createWorld();
  const first = await start();
  await first.listen("orders");
  events.fault = away;
  await first.transact(publish("orders", "held"));
  await passes("it is in flight", () => events.calls > 0);
  await first.close();
  events.fault = undefined;
  const began = clock.now();
  const second = await start();
  await passes("it is handed over", async () => (await second.received("orders")).includes("held"));
  expect(clock.now() - began, "no lease had to end").toBeLessThan(10_000);
});

test("a store whose pubsub it is publishes with the commit, and keeps nothing for itself", async () => {
  const { start } = await createWorld();
  const app = await start();
  await app.pubsub.pull({ open: { pubsub: "main", topic: "orders" } });
  await app.transact(set("a"), publish("orders", "at once", {}, "main"));
  const { deliveries } = await app.pubsub.pull({ open: { pubsub: "main", topic: "orders" } });
  expect(deliveries).toHaveLength(1);
  expect(await app.backlog()).toBeUndefined();
});

test("events in order need a store that keeps order", async () => {
  const { start, main } = await createWorld();
  const app = await start();
  main.features = [];
  expect(await refusal(app.transact(publish("orders", "x", { orderingKey: "k" })))).toMatchObject({
    reason: "FEATURE_NOT_SERVED",
    metadata: { component: "main", feature: "ORDERED", operation_index: "0" },
  });
  await app.transact(publish("orders", "x"));
});

test("one event that its component refuses with the whole call takes no other with it", async () => {
  const { start, passes, events } = await createWorld();
  const app = await start();
  await app.listen("orders");
  events.fault = away;
  const names = ["a", "bad", "b"];
  await app.transact(
    ...names.map((id) => publish("orders", id, { event: { id, data: new TextEncoder().encode(id) } })),
  );
  await passes("they are in flight", () => events.calls > 0);
  events.fault = ({ id }) => (id === "bad" ? new ComponentError("BAD_REQUEST", "not this one") : undefined);
  await passes("the outbox is empty", async () => (await app.backlog()) === 0);
  expect(new Set(await app.received("orders"))).toEqual(new Set(["a", "b"]));
  expect((await app.state.listOutboxDeadLetters({})).deadLetters).toMatchObject([{ entry: { event: { id: "bad" } } }]);
});

test("an event that cannot be taken now holds up no other, and is tried ever less often", async () => {
  const { start, passes, events, clock } = await createWorld();
  const app = await start();
  await app.listen("orders");
  let tries = 0;
  events.refusal = ({ topic }) => {
    if (topic !== "full") return undefined;
    tries += 1;
    return away();
  };
  await app.transact(publish("full", "waits", { orderingKey: "a" }));
  const began = clock.now();
  for (let n = 0; n < 20; n++) {
    await app.transact(publish("orders", String(n), { orderingKey: "b" }));
    const received: string[] = [];
    await passes(`event ${n} comes`, async () => {
      received.push(...(await app.received("orders")));
      return received.length > 0;
    });
    expect(received).toEqual([String(n)]);
  }
  expect(clock.now() - began).toBeLessThan(40_000);
  await passes("two minutes have passed", () => clock.now() - began >= 120_000);
  expect(tries).toBeLessThan(70);
  expect(await app.backlog()).toBe(1);
  events.refusal = undefined;
  await passes("it is handed over", async () => (await app.backlog()) === 0);
});

test("metrics tell what waits and what became of the rest", async () => {
  const { start, passes, events, clock } = await createWorld();
  const app = await start({ listen: { port: 0 }, adminSocket: false, watchResources: false });
  const metrics = async () => {
    const text = await (await fetch(`${app.runtime.endpoint}/metrics`)).text();
    return text.split("\n").filter((line) => line.startsWith("mecha_outbox"));
  };
  expect(await metrics()).toEqual([]);
  events.fault = away;
  await app.transact(publish("orders", "a"), publish("orders", "b", { ttl: { seconds: 60n } }));
  const labels = 'store="main",pubsub="events"';
  expect(await metrics()).toContain(`mecha_outbox_events{${labels}} 2`);
  clock.advance(61_000);
  await app.transact(publish("orders", "", { event: { id: "bad" } }));
  events.fault = ({ id }) => (id === "bad" ? new ComponentError("BAD_REQUEST", "not this one") : undefined);
  await passes("the outbox is empty", async () => (await app.backlog()) === 0);
  expect(new Set(await metrics())).toEqual(
    new Set([
      `mecha_outbox_events{${labels}} 0`,
      ...["published", "expired", "refused"].map((name) => `mecha_outbox_events_total{${labels},outcome="${name}"} 1`),
    ]),
  );
});
