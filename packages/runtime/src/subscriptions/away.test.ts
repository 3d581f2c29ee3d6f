import { SubscriptionState } from "@mecha/api/runtime";
import { ComponentError, defineComponent } from "@mecha/component";
import { memory } from "@mecha/component-memory";
import { describe, expect, it } from "vitest";
import { startApp, type TestApp } from "../../test/app.js";
import { until } from "../../test/helpers.js";
import { attempts, fast, ids, scrape, start } from "../../test/subscriptions.js";

describe("an app that is away", () => {
  it("costs no event an attempt, and gets them when it is back", async () => {
    const app = await startApp();
    await app.kill();
    const { runtime, publish, info } = await start(app);
    await publish("a", "b");
    await until(async () => (await info()).state === SubscriptionState.WAITING_FOR_APP, "it waits");
    await app.restart();
    await until(() => app.received.length === 2, "both arrive");
    expect(attempts(app.received)).toEqual(["1", "1"]);
    // Nothing was taken while the app was away: there was nothing to hand back.
    expect(await scrape(runtime)).toContain(
      'mecha_subscription_deliveries_total{subscription="orders",outcome="released"} 0',
    );

    await app.kill();
    // The runtime learns that the app is away by what it cannot hand over, or by looking.
    await publish("c");
    await until(async () => (await info()).state === SubscriptionState.WAITING_FOR_APP, "it waits again");
    await app.restart();
    await until(() => app.received.length === 3, "the third arrives");
    expect(app.received[2]?.headers["mecha-attempt"]).toBe("1");
    expect(await info()).toMatchObject({ retried: 0n });
  });

  it("and was killed while it had an event gets it again, as another attempt", async () => {
    const app = await startApp(() => (app.received.length === 1 ? new Promise(() => {}) : 204));
    const { publish, info } = await start(app);
    await publish("a");
    await until(() => app.received.length === 1, "the app has it");
    await app.kill();
    await until(async () => (await info()).retried === 1n, "the attempt failed");
    expect((await info()).lastError).toBe("/orders: the app ended the connection without an answer");
    await app.restart();
    await until(() => app.received.length === 2, "it comes again");
    expect(attempts(app.received)).toEqual(["1", "2"]);
  });
});

describe("a component that is away", () => {
  it("when the runtime starts is tried until it is there", async () => {
    let refusals = 3;
    const flaky = defineComponent({
      ...memory,
      async create(config, context) {
        const component = await memory.create(config, context);
        const { pubsub } = component.blocks;
        if (pubsub === undefined) throw new Error("memory serves pubsub");
        const openGroup: typeof pubsub.openGroup = (call) => {
          if (refusals-- > 0) throw new ComponentError("COMPONENT_UNAVAILABLE", "it is away");
          return pubsub.openGroup(call);
        };
        return { ...component, blocks: { ...component.blocks, pubsub: { ...pubsub, openGroup } } };
      },
    });
    const app = await startApp();
    const { publish, info } = await start(app, {}, { components: [flaky] });
    expect(await info()).toMatchObject({ state: SubscriptionState.WAITING_FOR_COMPONENT, lastError: "it is away" });
    await until(async () => (await info()).state === SubscriptionState.DELIVERING, "it delivers");
    await publish("a");
    await until(() => app.received.length === 1, "the event arrives");
  });
});

describe("an app that an event ends each time", () => {
  it("is rid of it after its attempts, also over connections that were kept", async () => {
    const app: TestApp = await startApp(async ({ headers }) => {
      if (headers["ce-id"] !== "poison") return 204;
      await app.kill();
      await app.restart();
      return 204;
    });
    const { publish, deadLetters } = await start(app, { concurrency: 1, retry: { maxAttempts: 2, ...fast } });
    await publish("first");
    await until(() => app.received.length === 1, "a connection is made, and kept");
    await publish("poison");
    await until(async () => (await deadLetters()).length === 1, "the event is given up");
    await publish("last");
    await until(() => ids(app.received).at(-1) === "last", "the app is served on");
    const poison = app.received.filter(({ headers }) => headers["ce-id"] === "poison");
    // Twice each at the most: over a kept connection, which may have been closed before, and then over one of its own.
    expect(poison.length).toBeGreaterThanOrEqual(2);
    expect(poison.length).toBeLessThanOrEqual(4);
  });
});
