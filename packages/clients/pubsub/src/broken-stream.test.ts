import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { type Delivery, PubSubService, SettleOutcome, type SubscribeResponseSchema } from "@mecha/api/pubsub";
import { ErrorInfoSchema } from "@mecha/api/rpc";
import { createInProcessTransport } from "@mecha/rpc";
import { expect, test } from "vitest";
import { until } from "../test/runtime.js";
import { createPubSubClient, type ReceivedEvent } from "./index.js";

/** Deliveries that the app has not seen, as a runtime sends them. */
const deliveries = (stream: number, count: number) =>
  Array.from(
    { length: count },
    (_, index): Pick<Delivery, "deliveryId" | "attempt" | "topic"> => ({
      deliveryId: `${stream}-${index}`,
      attempt: stream,
      topic: "orders",
    }),
  );

const unknownOutcome = { desc: ErrorInfoSchema, value: { domain: "mecha.dev", reason: "OUTCOME_UNKNOWN" } };

test.each([
  ["goes", new ConnectError("the runtime was killed", Code.Unavailable)],
  ["does not know whether an ack counted", new ConnectError("it may", Code.Unknown, undefined, [unknownOutcome])],
])("a runtime that %s while all handlers wait for the answers to their acks is left behind", async (_, failure) => {
  let streams = 0;
  const transport = createInProcessTransport((router) =>
    router.service(PubSubService, {
      async *subscribe(requests): AsyncGenerator<MessageInitShape<typeof SubscribeResponseSchema>> {
        const stream = ++streams;
        yield { message: { case: "opened", value: {} } };
        yield { message: { case: "deliveries", value: { deliveries: deliveries(stream, 4) } } };
        for await (const { message } of requests) {
          if (message.case !== "ack") continue;
          if (stream === 1) throw failure;
          const results = message.value.deliveryIds.map((deliveryId) => ({ deliveryId, outcome: SettleOutcome.DONE }));
          yield { message: { case: "ackResult", value: { results } } };
        }
      },
    }),
  );
  await using pubsub = createPubSubClient({ transport });
  const handled: number[] = [];
  const handle = async (event: ReceivedEvent) => {
    handled.push(event.attempt);
    await event.ack();
  };
  await using _subscription = pubsub.subscribe("orders", handle, { concurrency: 2 });
  await until(
    () => handled.filter((attempt) => attempt === 2).length === 4,
    "the events of the next stream are handled",
  );
  expect(handled, "what could be settled no more was not begun").toEqual([1, 1, 2, 2, 2, 2]);
});
