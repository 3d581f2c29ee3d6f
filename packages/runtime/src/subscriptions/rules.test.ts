import { describe, expect, it } from "vitest";
import { startApp } from "../../test/app.js";
import { until } from "../../test/helpers.js";
import { scrape, start } from "../../test/subscriptions.js";

describe("rules", () => {
  const rules = [
    { match: "event.type == 'order.placed' && data.total > 100", path: "/large?from=rules" },
    { match: "event.type == 'order.placed'", path: "/placed" },
  ];
  const entry = (type: string, data: unknown) => ({
    topic: "orders",
    event: { type, dataContentType: "application/json", data: Buffer.from(JSON.stringify(data)) },
  });
  const entries = [
    entry("order.placed", { total: 500 }),
    entry("order.placed", { total: 1 }),
    // The first rule fails on it, and so does not match.
    entry("order.placed", { noTotal: true }),
    entry("order.cancelled", {}),
  ];

  it("route: the first that matches wins, and the path takes the rest", async () => {
    const app = await startApp();
    const { pubsub } = await start(app, { rules });
    await pubsub.publishMany({ entries });
    await until(() => app.received.length === 4, "all arrive");
    const pathOf = new Map(app.received.map(({ url, body }) => [body.toString(), url]));
    expect(entries.map(({ event }) => pathOf.get(event.data.toString()))).toEqual([
      "/large?from=rules",
      "/placed",
      "/placed",
      "/orders",
    ]);
  });

  it("that all do not match make a dead letter, and a count", async () => {
    const app = await startApp();
    const { pubsub, deadLetters, info } = await start(app, { rules, path: undefined });
    await pubsub.publishMany({ entries });
    await until(async () => (await deadLetters()).length === 1, "the event is given up");
    expect((await deadLetters())[0]?.lastError).toBe("no rule of the subscription matches");
    expect(await info()).toMatchObject({ unmatched: 1n, paths: ["/large?from=rules", "/placed"] });
  });

  it("that all do not match ack what the resource says is of no interest", async () => {
    const app = await startApp();
    const { runtime, pubsub, deadLetters, info } = await start(app, { rules, path: undefined, noMatch: "ack" });
    await pubsub.publishMany({ entries });
    await until(async () => (await info()).unmatched === 1n, "it is counted");
    expect(await scrape(runtime)).toContain('mecha_subscription_unmatched_total{subscription="orders"} 1');
    await until(() => app.received.length === 3, "the others arrive");
    expect(await deadLetters()).toEqual([]);
  });
});
