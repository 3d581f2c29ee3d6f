import { expect, test } from "vitest";
import { away, createWorld, publish, set } from "../../test/outbox.js";

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
