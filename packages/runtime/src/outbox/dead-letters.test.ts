import { ComponentError } from "@mecha/component";
import { expect, test } from "vitest";
import { away, createWorld, publish, refusal } from "../../test/outbox.js";

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
