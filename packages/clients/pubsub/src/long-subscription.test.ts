import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { PubSubService, SettleOutcome, type SubscribeResponseSchema } from "@mecha/api/pubsub";
import { createInProcessTransport } from "@mecha/rpc";
import { expect, test } from "vitest";
import { until } from "../test/runtime.js";
import { createPubSubClient } from "./index.js";

const warmUp = 5_000;
const events = 30_000;
const isWarm = Promise.withResolvers<void>();

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

/** A runtime that delivers as many events as are acked. */
const transport = createInProcessTransport((router) =>
  router.service(PubSubService, {
    async *subscribe(requests): AsyncGenerator<MessageInitShape<typeof SubscribeResponseSchema>> {
      let sent = 0;
      const deliver = (count: number) => {
        const deliveries = Array.from({ length: count }, () => ({
          deliveryId: `${++sent}`,
          attempt: 1,
          topic: "orders",
        }));
        return { message: { case: "deliveries" as const, value: { deliveries } } };
      };
      yield { message: { case: "opened", value: {} } };
      yield deliver(32);
      for await (const { message } of requests) {
        if (message.case !== "ack") continue;
        const results = message.value.deliveryIds.map((deliveryId) => ({ deliveryId, outcome: SettleOutcome.DONE }));
        yield { message: { case: "ackResult", value: { results } } };
        if (sent >= warmUp) await isWarm.promise;
        if (sent < events) yield deliver(results.length);
      }
    },
  }),
);

test("a subscription remembers nothing of the events that it has handled", async () => {
  await using pubsub = createPubSubClient({ transport });
  let handled = 0;
  await using _ = pubsub.subscribe("orders", () => void handled++);
  await until(() => handled >= warmUp / 2, "it is warm");
  collect();
  const before = process.memoryUsage().heapUsed;
  isWarm.resolve();
  await until(() => handled >= events, "all are handled");
  collect();
  // The last ones may still be on their way; 1 KiB for each of the others would be 25 MiB.
  expect((process.memoryUsage().heapUsed - before) / 2 ** 20).toBeLessThan(5);
});
