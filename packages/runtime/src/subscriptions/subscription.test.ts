import { SubscriptionState } from "@mecha/api/runtime";
import { describe, expect, it } from "vitest";
import { startApp } from "../../test/app.js";
import { until } from "../../test/helpers.js";
import { attempts, ids, start } from "../../test/subscriptions.js";

describe("a subscription", () => {
  it("posts each event to the app's path, with the token that proves who posts", async () => {
    const app = await startApp();
    const { publish, info } = await start(app, {}, { appToken: "s3cret" });
    await publish("a");
    await until(() => app.received.length === 1, "the event arrives");
    expect(app.received[0]).toMatchObject({
      method: "POST",
      url: "/orders",
      headers: {
        authorization: "Bearer s3cret",
        "ce-specversion": "1.0",
        "ce-id": "a",
        "ce-type": "orders",
        "ce-source": "/ns/default/app/app",
        "content-type": "text/plain",
        "mecha-subscription": "orders",
        "mecha-attempt": "1",
      },
    });
    expect(app.received[0]?.body.toString()).toBe("a");
    await until(async () => (await info()).acked === 1n, "it is acked");
    expect(await info()).toMatchObject({
      name: "orders",
      component: "memory",
      topic: "orders",
      group: "app",
      paths: ["/orders"],
      state: SubscriptionState.DELIVERING,
      inFlight: 0,
    });
  });

  it("hands the event's trace on where the app's instrumentation looks for it", async () => {
    const app = await startApp();
    const { pubsub } = await start(app);
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    await pubsub.publish({ entry: { topic: "orders", event: { extensions: { traceparent } } } });
    await until(() => app.received.length === 1, "the event arrives");
    expect(app.received[0]?.headers).toMatchObject({ traceparent, "ce-traceparent": traceparent });
  });

  it("tries what the app does not take again, then makes a dead letter of it; its neighbours are not held up", async () => {
    const app = await startApp(({ headers }) => (headers["ce-id"] === "poison" ? { status: 500, body: "no" } : 200));
    const { publish, deadLetters, info } = await start(app);
    await publish("before", "poison", "after");
    await until(async () => (await deadLetters()).length === 1, "the event is given up");
    await until(async () => (await info()).acked === 2n, "its neighbours are acked");
    expect(await deadLetters()).toEqual([{ id: "poison", attempts: 3, lastError: "/orders: HTTP 500: no" }]);
    expect(ids(app.received).filter((id) => id !== "poison")).toEqual(["before", "after"]);
    expect(attempts(app.received.filter(({ headers }) => headers["ce-id"] === "poison"))).toEqual(["1", "2", "3"]);
    expect(await info()).toMatchObject({ acked: 2n, retried: 3n, lastError: "/orders: HTTP 500: no" });
  });

  it("makes a dead letter at once of what the app answers with 410", async () => {
    const app = await startApp(() => 410);
    const { publish, deadLetters } = await start(app);
    await publish("never");
    await until(async () => (await deadLetters()).length === 1, "the event is given up");
    expect(await deadLetters()).toEqual([{ id: "never", attempts: 1, lastError: "/orders: HTTP 410" }]);
  });

  it("follows no redirect: nothing is sent to where the app did not listen", async () => {
    const elsewhere = await startApp();
    const location = `http://127.0.0.1:${elsewhere.port}/`;
    const app = await startApp(() => ({ status: 307, headers: { location } }));
    const { publish, deadLetters } = await start(app, {}, { appToken: "s3cret" });
    await publish("a");
    await until(async () => (await deadLetters()).length === 1, "the event is given up");
    expect((await deadLetters())[0]?.lastError).toBe("/orders: HTTP 307: redirects are not followed");
    expect(elsewhere.received).toEqual([]);
  });

  it("waits as long as the app asks for", async () => {
    let refused = 0;
    const app = await startApp(() => {
      refused ||= Date.now();
      return app.received.length === 1 ? { status: 503, headers: { "retry-after": "1" } } : 204;
    });
    const { publish } = await start(app);
    await publish("a");
    await until(() => app.received.length === 2, "it comes again");
    expect(Date.now() - refused).toBeGreaterThanOrEqual(900);
  });

  it("counts an answer that takes longer than the ack timeout as none, and hangs up", async () => {
    const app = await startApp(() => (app.received.length === 1 ? new Promise(() => {}) : 204));
    const { publish, info } = await start(app, { ackTimeout: "1s" });
    await publish("slow");
    await until(() => app.received.length === 2, "it comes again");
    expect(attempts(app.received)).toEqual(["1", "2"]);
    expect((await info()).lastError).toBe("/orders: no answer within 1 s");
    await until(() => app.open.now === 0, "the first request was hung up");
  });

  it("reads no more of an answer than it needs", async () => {
    const app = await startApp(() => ({ status: 500, body: "x".repeat(10_000_000) }));
    const { publish, deadLetters } = await start(app, { retry: { maxAttempts: 1 } });
    await publish("a");
    await until(async () => (await deadLetters()).length === 1, "the event is given up");
    expect((await deadLetters())[0]?.lastError).toHaveLength(512);
  });

  it("has no more requests with the app than it may", async () => {
    const gate = Promise.withResolvers<number>();
    const app = await startApp(() => gate.promise);
    const { publish, info } = await start(app, { concurrency: 3 });
    await publish(...Array.from({ length: 20 }, (_, index) => String(index)));
    await until(() => app.open.now === 3, "three are with the app");
    expect((await info()).inFlight).toBe(3);
    gate.resolve(204);
    await until(() => app.received.length === 20, "all arrive");
    expect(app.open.most).toBe(3);
  });

  it("keeps the order of each key, one at a time", async () => {
    const app = await startApp(({ headers }) =>
      headers["mecha-attempt"] === "1" && headers["ce-id"] === "a1" ? 500 : 204,
    );
    const { pubsub } = await start(app, { ordered: true });
    const entry = (id: string) => ({ topic: "orders", orderingKey: id.slice(0, 1), event: { id } });
    await pubsub.publishMany({ entries: ["a1", "a2", "b1", "a3", "b2"].map(entry) });
    await until(() => app.received.length === 6, "all arrive, one of them twice");
    const ofKey = (key: string) => ids(app.received.filter(({ headers }) => headers["ce-partitionkey"] === key));
    expect(ofKey("a")).toEqual(["a1", "a1", "a2", "a3"]);
    expect(ofKey("b")).toEqual(["b1", "b2"]);
  });
});
