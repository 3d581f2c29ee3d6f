import { expect, test } from "vitest";
import { away, createWorld, publish, set } from "../../test/outbox.js";

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
