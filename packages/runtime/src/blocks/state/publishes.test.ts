import { describe, expect, test } from "vitest";
import { component } from "../../../test/helpers.js";
import { createWorld, publish, refusal, requirePresent, set } from "../../../test/outbox.js";

describe.each([
  ["by the store itself", "main"],
  ["for another component", "events"],
])("publishing within a transaction, %s", (_, pubsub) => {
  test("is checked as publishing is, before anything is done", async () => {
    const { start, main, events } = await createWorld();
    const app = await start();
    const refused = async (...publishes: Parameters<typeof publish>) =>
      refusal(app.transact(set("a"), publish(publishes[0], publishes[1], publishes[2], pubsub)));
    expect(await refused("no topic!", "")).toMatchObject({
      reason: "BAD_REQUEST",
      metadata: { message: expect.stringContaining("operations[1].publish.entry.topic") },
    });
    const missing = { operation: { case: "publish" as const, value: { pubsub } } };
    expect(await refusal(app.transact(set("a"), missing))).toMatchObject({
      reason: "BAD_REQUEST",
      metadata: { message: expect.stringContaining("operations[1].publish.entry is missing") },
    });
    const large = { event: { data: new Uint8Array(1024 * 1024 + 1) } };
    expect(await refused("orders", "", large)).toMatchObject({
      reason: "TOO_LARGE",
      metadata: { operation_index: "1", limit_bytes: String(1024 * 1024) },
    });
    for (const controls of [main, events]) controls.features = ["ORDERED"];
    expect(await refused("orders", "", { delay: { seconds: 1n } })).toMatchObject({
      reason: "FEATURE_NOT_SERVED",
      metadata: { feature: "DELAY", component: pubsub, operation_index: "1" },
    });
    expect(await refused("orders", "", { ttl: { seconds: 1n } })).toMatchObject({
      reason: "FEATURE_NOT_SERVED",
      metadata: { feature: "TTL", component: pubsub, operation_index: "1" },
    });
    const list = await app.state.list({});
    expect(list.items).toEqual([]);
  });

  test("counts with keys and values: 8 MiB and 128 operations together", async () => {
    const { start } = await createWorld();
    const app = await start();
    const half = () => publish("orders", "", { event: { data: new Uint8Array(512 * 1024) } }, pubsub);
    const fifteen = Array.from({ length: 15 }, half);
    expect(await refusal(app.transact(...fifteen, set("a", "x".repeat(600_000))))).toMatchObject({
      reason: "TOO_LARGE",
      metadata: { limit_bytes: String(8 * 1024 * 1024) },
    });
    await app.transact(...fifteen, set("a", "x".repeat(500_000)));
    const many = Array.from({ length: 128 }, (_, n) => publish("orders", String(n), {}, pubsub));
    expect(await refusal(app.transact(...many, set("a")))).toMatchObject({ reason: "BAD_REQUEST" });
    await app.transact(...many);
  });

  test("happens once for a request that is sent again, however its maps are ordered; another one is refused", async () => {
    const { start, passes } = await createWorld();
    const app = await start();
    await app.pubsub.pull({ open: { pubsub, topic: "orders" } });
    const request = (text: string, extensions: Record<string, string>) => ({
      requestId: "1",
      operations: [
        set("a"),
        publish("orders", "", { event: { data: new TextEncoder().encode(text), extensions } }, pubsub),
      ],
    });
    const first = await app.state.transact(request("one", { a: "1", b: "2" }));
    const again = await app.state.transact(request("one", { b: "2", a: "1" }));
    expect(again).toEqual(first);
    expect(await refusal(app.state.transact(request("two", { a: "1", b: "2" })))).toMatchObject({
      reason: "BAD_REQUEST",
    });
    let count = 0;
    await passes("it is published", async () => {
      count += (await app.pubsub.pull({ open: { pubsub, topic: "orders" } })).deliveries.length;
      return count > 0 && ((await app.backlog()) ?? 0) === 0;
    });
    expect((await app.pubsub.pull({ open: { pubsub, topic: "orders" } })).deliveries).toEqual([]);
    expect(count).toBe(1);
  });

  test("is told in the request's order, also what fails", async () => {
    const { start } = await createWorld();
    const app = await start();
    const { results } = await app.state.transact({
      operations: [
        publish("a", "", { event: { id: "first" } }, pubsub),
        set("a"),
        publish("b", "", {}, pubsub),
        set("b"),
      ],
    });
    expect(results.map(({ result }) => result.case)).toEqual(["publish", "set", "publish", "set"]);
    expect(results[0]?.result.value).toMatchObject({ eventId: "first" });
    expect(results[2]?.result.value).toMatchObject({ eventId: expect.stringMatching(/^[0-9a-f-]{36}$/) });
    const refused = app.transact(
      publish("a", "", {}, pubsub),
      set("a"),
      publish("a", "", {}, pubsub),
      requirePresent("c"),
    );
    expect(await refusal(refused)).toMatchObject({ reason: "NOT_EXISTS", metadata: { operation_index: "3" } });
  });
});

test("metadata that the store's own pubsub does not know refuses the transaction and names its operation", async () => {
  const { start } = await createWorld();
  const app = await start();
  const unknown = publish("orders", "", { metadata: { "no-such-key": "1" } }, "main");
  expect(await refusal(app.transact(set("a"), publish("orders", "", {}, "main"), unknown))).toMatchObject({
    reason: "BAD_REQUEST",
    metadata: { operation_index: "2", key: "no-such-key" },
  });
  expect((await app.state.list({})).items).toEqual([]);
});

test("an event for another component must fit into the store's own events, with where it is for", async () => {
  const { start, main } = await createWorld();
  const app = await start();
  main.maxEventBytes = 2_000;
  const sized = (bytes: number) => publish("orders", "", { event: { data: new Uint8Array(bytes) } });
  await app.transact(sized(1_500));
  expect(await refusal(app.transact(sized(1_990)))).toMatchObject({
    reason: "TOO_LARGE",
    metadata: { operation_index: "0", limit_bytes: "2000", message: expect.stringContaining('kept by "main"') },
  });
});

test("a pubsub that is not there, serves no pubsub, or is out of scope is named", async () => {
  const { start } = await createWorld();
  const app = await start({
    resources: [
      component("main", { type: "store", default: true }),
      component("state-only", { blocks: ["state"] }),
      component("theirs", { blocks: ["pubsub"], scopes: ["billing"] }),
    ],
  });
  const refused = (pubsub: string) => refusal(app.transact(set("a"), publish("orders", "", {}, pubsub)));
  expect(await refused("none")).toMatchObject({ reason: "COMPONENT_NOT_FOUND", metadata: { operation_index: "1" } });
  expect(await refused("state-only")).toMatchObject({ reason: "BLOCK_NOT_SERVED", metadata: { operation_index: "1" } });
  expect(await refused("theirs")).toMatchObject({ reason: "OUT_OF_SCOPE", metadata: { operation_index: "1" } });
});

test("a store that does not publish within its transactions says so, and who does", async () => {
  const { start, main } = await createWorld();
  main.stateFeatures = ["TRANSACT"];
  const app = await start({
    resources: [component("main", { type: "store", default: true })],
  });
  const alone = await refusal(app.transact(publish("orders", "")));
  expect(alone).toMatchObject({ reason: "FEATURE_NOT_SERVED", metadata: { component: "main", feature: "OUTBOX" } });
  expect(alone.metadata.message).toContain("docs/components.md");
  const resources = [
    component("main", { type: "store", default: true }),
    component("able", { type: "memory", blocks: ["state"] }),
  ];
  const beside = await start({ resources });
  expect((await refusal(beside.transact(publish("orders", "")))).metadata.message).toContain('"able" (memory) can');
});
