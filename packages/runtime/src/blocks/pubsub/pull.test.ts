import { Disposition, SettleOutcome } from "@mecha/api/pubsub";
import { describe, expect, test } from "vitest";
import { clock, publish, startRuntime, text } from "../../../test/pubsub.js";

describe("pull", () => {
  test("takes, settles and extends without a stream", async () => {
    const { pubsub } = await startRuntime();
    const settings = { ackTimeout: { seconds: 5n } };
    expect((await pubsub.pull({ open: { topic: "orders", settings } })).deliveries).toEqual([]);
    for (const name of ["a", "b", "c"]) await publish(pubsub, "orders", name);
    const { deliveries } = await pubsub.pull({ open: { topic: "orders", maxInFlight: 2 } });
    expect(deliveries.map(text)).toEqual(["a", "b"]);
    const [a, b] = deliveries.map(({ deliveryId }) => deliveryId);
    const acked = await pubsub.ack({ settle: { deliveryIds: [a!, "made-up"], disposition: Disposition.ACK } });
    expect(acked.results.map(({ outcome }) => outcome)).toEqual([SettleOutcome.DONE, SettleOutcome.STALE]);
    const prolonged = await pubsub.extend({ prolong: { deliveryIds: [b!], ackTimeout: { seconds: 60n } } });
    expect(prolonged.results.map(({ outcome }) => outcome)).toEqual([SettleOutcome.DONE]);
    clock.advance(20_000);
    expect((await pubsub.pull({ open: { topic: "orders" } })).deliveries.map(text)).toEqual(["c"]);
    const settled = await pubsub.ack({ settle: { deliveryIds: [b!], disposition: Disposition.REJECT, error: "bad" } });
    expect(settled.results.map(({ outcome }) => outcome)).toEqual([SettleOutcome.DONE]);
    expect((await pubsub.listDeadLetters({ topic: "orders" })).deadLetters.map(({ lastError }) => lastError)).toEqual([
      "bad",
    ]);
  });
});
