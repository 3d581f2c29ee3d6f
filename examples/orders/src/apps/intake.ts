// Takes orders over HTTP. An order and the event that tells of it are one transaction: never one without the other.
import { createPubSubClient } from "@mecha/pubsub";
import { createStateClient, MechaError, operation } from "@mecha/state";
import { fromTheBeginning, type Order, type OrderPaid, readOrder } from "./events.ts";
import { serveUntilStopped } from "./http.ts";

await using state = createStateClient();
await using pubsub = createPubSubClient();

// An event may come twice, after a failure: writing "paid" twice does no harm.
await using _payments = pubsub.subscribe<OrderPaid>(
  "payments",
  async ({ data: { id } }) => {
    await state.update<Order>(`order-${id}`, (order) => {
      if (order === undefined) throw new Error(`order ${id} is paid, but it was never placed`);
      return { ...order, status: "paid" };
    });
  },
  fromTheBeginning,
);

await serveUntilStopped(async (method, path, body) => {
  if (method === "POST" && path === "/orders") {
    const placed = readOrder(body);
    try {
      await state.transact([
        operation.set(`order-${placed.id}`, { ...placed, status: "placed" } satisfies Order, { ifAbsent: true }),
        operation.publish("orders", placed, { type: "order.placed", orderingKey: placed.customer }),
      ]);
    } catch (error) {
      // The customer clicked twice: the first order stands.
      if (!(error instanceof MechaError && error.reason === "ALREADY_EXISTS")) throw error;
    }
    return { status: 202 };
  }
  const id = /^\/orders\/([\w-]+)$/.exec(path)?.[1];
  const order = id === undefined ? undefined : await state.get<Order>(`order-${id}`);
  return order === undefined ? { status: 404 } : { status: 200, body: order.value };
});
