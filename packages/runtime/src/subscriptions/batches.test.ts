import { describe, expect, it } from "vitest";
import { type Received, startApp } from "../../test/app.js";
import { until } from "../../test/helpers.js";
import { start } from "../../test/subscriptions.js";

describe("batches", () => {
  const batched = { format: "batched", batch: { maxEvents: 10 } };
  const events = ({ body }: Received) => (JSON.parse(body.toString()) as { id: string }[]).map(({ id }) => id);

  it("carry what there is, up to their size", async () => {
    const gate = Promise.withResolvers<number>();
    const app = await startApp(() => gate.promise);
    const { publish } = await start(app, { ...batched, concurrency: 1 });
    const all = Array.from({ length: 25 }, (_, index) => String(index));
    await publish(...all);
    await until(() => app.received.length === 1, "the first is with the app");
    gate.resolve(204);
    await until(() => app.received.length >= 3, "the others follow");
    expect(app.received.map((received) => events(received).length)).toEqual([10, 10, 5]);
    expect(app.received.flatMap(events)).toEqual(all);
    expect(app.received[0]?.headers["content-type"]).toBe("application/cloudevents-batch+json; charset=utf-8");
  });

  it("wait to be filled for as long as they are told to", async () => {
    const app = await startApp();
    const { publish } = await start(app, { ...batched, batch: { maxEvents: 3, maxWait: "15s" } });
    await publish("a");
    await publish("b");
    await publish("c");
    await until(() => app.received.length === 1, "the batch is full");
    expect(app.received.map(events)).toEqual([["a", "b", "c"]]);
  });

  it("that failed come again one by one, so that a poison event takes no neighbour with it", async () => {
    const app = await startApp((received) => (events(received).includes("poison") ? 500 : 204));
    const { publish, deadLetters } = await start(app, batched);
    await publish("a", "poison", "b");
    await until(() => app.received.length === 5, "each came again by itself");
    await until(async () => (await deadLetters()).length === 1, "the event is given up");
    expect(await deadLetters()).toMatchObject([{ id: "poison", attempts: 3 }]);
    expect(events(app.received[0] as Received)).toEqual(["a", "poison", "b"]);
    expect(app.received.slice(1).flatMap(events).sort()).toEqual(["a", "b", "poison", "poison"]);
  });

  it("that are answered with 410 are given up whole", async () => {
    const app = await startApp(() => 410);
    const { publish, deadLetters } = await start(app, batched);
    await publish("a", "b");
    await until(async () => (await deadLetters()).length === 2, "both are given up");
    expect(app.received).toHaveLength(1);
  });
});
