import { createClient } from "@connectrpc/connect";
import { type Delivery, PubSubService } from "@mecha/api/pubsub";
import { StateService } from "@mecha/api/state";
import { memory } from "@mecha/component-memory";
import { expect, onTestFinished, test } from "vitest";
import { component } from "../../test/helpers.ts";
import { createRuntime } from "../runtime.js";

async function start() {
  const runtime = await createRuntime({
    appId: "shop",
    components: [memory],
    resources: [component("main", { default: ["state"] }), component("events", { default: ["pubsub"] })],
  });
  onTestFinished(() => runtime.close({ deadlineMs: 100 }));
  return {
    runtime,
    state: createClient(StateService, runtime.transport),
    pubsub: createClient(PubSubService, runtime.transport),
  };
}

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (delivery: Delivery) => new TextDecoder().decode(delivery.event?.data);

test("an event is handed to another component once its transaction is committed", async () => {
  const { state, pubsub } = await start();
  await pubsub.pull({ open: { topic: "orders" } });
  const { results } = await state.transact({
    operations: [
      { operation: { case: "publish", value: { entry: { topic: "orders", event: { data: bytes("placed") } } } } },
      { operation: { case: "set", value: { key: "order", value: bytes("1") } } },
    ],
  });
  expect(results.map(({ result }) => result.case)).toEqual(["publish", "set"]);
  const { deliveries } = await pubsub.pull({ open: { topic: "orders" }, wait: { seconds: 10n } });
  expect(deliveries.map(text)).toEqual(["placed"]);
});
