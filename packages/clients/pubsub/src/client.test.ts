import { MechaError } from "@mecha/client";
import { describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { startRuntime, until } from "../test/runtime.js";
import { createPubSubClient, type ReceivedEvent } from "./index.js";

interface Order {
  readonly id: number;
}

async function connect() {
  const runtime = await startRuntime();
  const pubsub = createPubSubClient({ endpoint: runtime.endpoint });
  onTestFinished(() => pubsub.close());
  return { runtime, pubsub };
}

/** Opens a group, so that what is published afterwards is for it. */
async function openGroup(pubsub: ReturnType<typeof createPubSubClient>, topic: string) {
  await pubsub.publish(topic, "before");
  await using stream = pubsub.stream(topic, { settings: { start: "earliest" } });
  const { value } = await stream[Symbol.asyncIterator]().next();
  await value?.ack();
}

const fast = { minBackoff: "10ms", maxBackoff: "10ms" } as const;

describe("a handler", () => {
  test("gets events with their data and attributes, and acks them by returning", async () => {
    const { pubsub } = await connect();
    await openGroup(pubsub, "orders");
    const seen: ReceivedEvent<Order>[] = [];
    await using _ = pubsub.subscribe<Order>("orders", async (event) => void seen.push(event));
    await pubsub.publish("orders", { id: 1 }, { id: "event-1", type: "order.placed", extensions: { region: "eu" } });
    await until(() => seen.length > 0, "an event arrives");
    expect(seen[0]).toMatchObject({
      id: "event-1",
      type: "order.placed",
      source: "/ns/default/app/shop",
      data: { id: 1 },
      contentType: "application/json",
      extensions: { region: "eu" },
      attempt: 1,
    });
    expect(seen[0]?.time).toBeInstanceOf(Date);
  });

  test("that throws gets the event again, until it becomes a dead letter; requeued it comes anew", async () => {
    const { pubsub } = await connect();
    await openGroup(pubsub, "orders");
    const broken = new Set(["poison"]);
    const attempts: number[] = [];
    await using _ = pubsub.subscribe<string>(
      "orders",
      ({ data, attempt }) => {
        attempts.push(attempt);
        if (broken.has(data)) throw new Error(`cannot: ${attempt}`);
      },
      { settings: { start: "earliest", maxAttempts: 3, ...fast }, updateGroup: true },
    );
    await pubsub.publish("orders", "poison");
    await until(() => attempts.length === 3, "all attempts were made");
    let dead = await Array.fromAsync(pubsub.deadLetters("orders"));
    for (const deadline = Date.now() + 5_000; dead.length === 0 && Date.now() < deadline; ) {
      dead = await Array.fromAsync(pubsub.deadLetters("orders"));
    }
    expect(dead).toMatchObject([{ data: "poison", attempts: 3, lastError: "cannot: 3" }]);
    broken.clear();
    expect(await pubsub.requeueDeadLetters("orders", [dead[0]?.deadLetterId ?? ""])).toBe(1);
    await until(() => attempts.length === 4, "the requeued event arrives");
    expect(attempts).toEqual([1, 2, 3, 1]);
    expect(await Array.fromAsync(pubsub.deadLetters("orders"))).toEqual([]);
  });

  test("works on as many events at a time as it is allowed to", async () => {
    const { pubsub } = await connect();
    await openGroup(pubsub, "orders");
    const gate = Promise.withResolvers<void>();
    let running = 0;
    let most = 0;
    let done = 0;
    await using _ = pubsub.subscribe(
      "orders",
      async () => {
        running += 1;
        most = Math.max(most, running);
        await gate.promise;
        running -= 1;
        done += 1;
      },
      { concurrency: 3 },
    );
    await pubsub.publishMany(Array.from({ length: 10 }, (_, id) => ({ topic: "orders", data: { id } })));
    await until(() => running === 3, "three handlers run");
    gate.resolve();
    await until(() => done === 10, "all are handled");
    expect(most).toBe(3);
  });

  test("finishes when the subscription closes, and what it did not begin is handed back at once", async () => {
    const { pubsub } = await connect();
    await openGroup(pubsub, "orders");
    const gate = Promise.withResolvers<void>();
    const handled: unknown[] = [];
    const first = pubsub.subscribe(
      "orders",
      async ({ data }) => {
        await gate.promise;
        handled.push(data);
      },
      { concurrency: 1 },
    );
    await pubsub.publishMany([1, 2].map((data) => ({ topic: "orders", data })));
    const closing = first.close();
    setTimeout(gate.resolve, 50);
    await closing;
    const rest: ReceivedEvent[] = [];
    await using _ = pubsub.subscribe("orders", (event) => void rest.push(event));
    await until(() => handled.length + rest.length === 2, "both are handled");
    expect(new Set([...handled, ...rest.map(({ data }) => data)])).toEqual(new Set([1, 2]));
    expect(rest.every(({ attempt }) => attempt === 1)).toBe(true);
  });

  test("does not notice that the runtime restarted", async () => {
    const { runtime, pubsub } = await connect();
    await openGroup(pubsub, "orders");
    const seen = new Set<unknown>();
    await using subscription = pubsub.subscribe("orders", ({ data }) => void seen.add(data));
    for (let n = 0; n < 5; n++) await pubsub.publish("orders", n);
    await until(() => seen.size === 5, "the first events arrive");
    await runtime.stop();
    const publishing = Promise.all([5, 6, 7].map((n) => pubsub.publish("orders", n, { requestId: `r${n}` })));
    await runtime.start();
    await publishing;
    await until(() => seen.size === 8, "the events of after the restart arrive");
    await subscription.close();
  });

  test("that asks for what cannot be is told, once and for all", async () => {
    const { pubsub } = await connect();
    const subscription = pubsub.subscribe("orders", () => {}, { settings: { filter: "event.type ==" } });
    const error = await subscription.closed.catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(MechaError);
    expect(error).toMatchObject({ reason: "BAD_REQUEST", code: "invalid_argument" });
  });

  test("gets no event that does not fit its schema; those become dead letters", async () => {
    const { pubsub } = await connect();
    await openGroup(pubsub, "orders");
    const seen: Order[] = [];
    const schema = z.object({ id: z.number() });
    await using _ = pubsub.subscribe("orders", ({ data }) => void seen.push(data), { schema });
    await pubsub.publish("orders", { id: "not a number" });
    await pubsub.publish("orders", { id: 7 });
    await until(() => seen.length === 1, "the valid event arrives");
    expect(seen).toEqual([{ id: 7 }]);
    const [dead] = await Array.fromAsync(pubsub.deadLetters("orders"));
    expect(dead?.lastError).toMatch(/does not fit its schema/);
  });
});

describe("a stream", () => {
  test("gives events to settle one by one", async () => {
    const { pubsub } = await connect();
    await openGroup(pubsub, "orders");
    await pubsub.publishMany(["fine", "bad"].map((data) => ({ topic: "orders", data })));
    const seen: unknown[] = [];
    for await (const event of pubsub.stream<string>("orders")) {
      seen.push(event.data);
      expect(await (event.data === "bad" ? event.reject("is bad") : event.ack())).toBe(true);
      expect(await event.ack(), "a second time").toBe(false);
      if (seen.length === 2) break;
    }
    expect(seen).toEqual(["fine", "bad"]);
    expect(await Array.fromAsync(pubsub.deadLetters("orders"))).toMatchObject([{ data: "bad", lastError: "is bad" }]);
    expect(await pubsub.dropDeadLetters("orders", "all")).toBe(1);
  });

  test("holds no more than it was allowed", async () => {
    const { pubsub } = await connect();
    await openGroup(pubsub, "orders");
    await pubsub.publishMany([1, 2, 3].map((data) => ({ topic: "orders", data })));
    await using stream = pubsub.stream<number>("orders", { maxInFlight: 1 });
    const events = stream[Symbol.asyncIterator]();
    const first = await events.next();
    const second = events.next();
    const early = await Promise.race([second, new Promise((resolve) => setTimeout(() => resolve("waits"), 100))]);
    expect(early).toBe("waits");
    await first.value?.ack();
    expect((await second).value?.data).toBe(2);
  });
});

describe("publishing", () => {
  test("many tells of each", async () => {
    const { pubsub } = await connect();
    const outcomes = await pubsub.publishMany([
      { topic: "orders", data: 1, id: "a" },
      { topic: "orders", data: new Uint8Array(1024 * 1024), id: "b" },
    ]);
    expect(outcomes[0]).toEqual({ ok: true, eventId: "a", duplicate: false });
    expect(outcomes[1]).toMatchObject({ ok: false, error: { reason: "TOO_LARGE" } });
  });

  test("the same request twice stores it once", async () => {
    const { pubsub } = await connect();
    const first = await pubsub.publish("orders", 1, { requestId: "r" });
    expect(await pubsub.publish("orders", 1, { requestId: "r" })).toEqual({ eventId: first.eventId, duplicate: true });
  });

  test("what JSON cannot carry is refused before it is sent", async () => {
    const { pubsub } = await connect();
    await expect(pubsub.publish("orders", new Map())).rejects.toMatchObject({ reason: "BAD_REQUEST" });
  });
});
