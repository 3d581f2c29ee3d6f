import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { reasonOf, startRuntime } from "../../../test/pubsub.js";

describe("publish", () => {
  test("stores the same request once", async () => {
    const { pubsub } = await startRuntime();
    const entry = { topic: "orders", event: {} };
    const first = await pubsub.publish({ entry, requestId: "r1" });
    const second = await pubsub.publish({ entry, requestId: "r1" });
    expect(first.duplicate).toBe(false);
    expect(second).toMatchObject({ eventId: first.eventId, duplicate: true });
  });

  test("tells of each entry, and holds back what follows a failed one", async () => {
    const { pubsub } = await startRuntime();
    const big = new Uint8Array(1024 * 1024);
    const { results } = await pubsub.publishMany({
      entries: [
        { topic: "orders", orderingKey: "k", event: { id: "1" } },
        { topic: "orders", orderingKey: "k", event: { id: "2", data: big } },
        { topic: "orders", orderingKey: "k", event: { id: "3" } },
        { topic: "orders", event: { id: "4" } },
      ],
    });
    expect(
      results.map(({ result }) => (result.case === "error" ? result.value.reason : result.value?.eventId)),
    ).toEqual(["1", "TOO_LARGE", "EARLIER_FAILED", "4"]);
  });

  const mistakes: [what: string, entry: object][] = [
    ["no event", { topic: "orders" }],
    ["a topic with a space", { topic: "my orders", event: {} }],
    ["a delay with an ordering key", { topic: "orders", event: {}, orderingKey: "k", delay: { seconds: 1n } }],
    ["a ttl of 0", { topic: "orders", event: {}, ttl: {} }],
    ["an extension with a capital", { topic: "orders", event: { extensions: { Region: "eu" } } }],
    ["an extension with an attribute's name", { topic: "orders", event: { extensions: { specversion: "1.0" } } }],
    ["unknown metadata", { topic: "orders", event: {}, metadata: { partition: "3" } }],
    ["a time that no calendar has", { topic: "t", event: { time: { seconds: 10n ** 12n } } }],
  ];
  test.each(mistakes)("refuses %s", async (_what, entry) => {
    const { pubsub } = await startRuntime();
    await expect(pubsub.publish({ entry }).catch(reasonOf)).resolves.toEqual([Code.InvalidArgument, "BAD_REQUEST"]);
  });

  test("refuses an event over the limit, with both sizes", async () => {
    const { pubsub } = await startRuntime();
    const error = await pubsub
      .publish({ entry: { topic: "t", event: { data: new Uint8Array(1024 * 1024) } } })
      .catch((e) => e);
    expect(reasonOf(error)).toEqual([Code.ResourceExhausted, "TOO_LARGE"]);
    expect(error.message).toMatch(/is 10\d{5} bytes; the limit is 1048576/);
  });
});
