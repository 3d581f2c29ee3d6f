import { ComponentError } from "@mecha/component";
import { expect, test } from "vitest";
import { away, createWorld, publish, refusal, requirePresent, set } from "../../test/outbox.js";

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
