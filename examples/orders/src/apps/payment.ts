// Takes the money. What it cannot price becomes a dead letter, is repaired by an operator, and delivered again.
import { createPubSubClient } from "@mecha/pubsub";
import { createStateClient, MechaError, operation } from "@mecha/state";
import { fromTheBeginning, type OrderPlaced } from "./events.ts";
import { serveUntilStopped } from "./http.ts";

await using state = createStateClient();
await using pubsub = createPubSubClient();
await state.set("rate-euro", 100);

await using _orders = pubsub.subscribe<OrderPlaced>(
  "orders",
  async (event) => {
    const order = event.data;
    const rate = await state.get<number>(`rate-${order.currency}`);
    if (rate === undefined) {
      await event.reject(`no exchange rate for "${order.currency}"`);
      return;
    }
    const cents = Math.round(order.price * rate.value);
    try {
      // The payment and the event that tells of it, once: the second delivery of an order finds the payment there.
      await state.transact([
        operation.set(`payment-${order.id}`, { cents }, { ifAbsent: true }),
        operation.publish("payments", { ...order, cents }, { type: "order.paid" }),
      ]);
    } catch (error) {
      if (!(error instanceof MechaError && error.reason === "ALREADY_EXISTS")) throw error;
    }
  },
  fromTheBeginning,
);

// What the operator uses.
await serveUntilStopped(async (method, path, body) => {
  const currency = /^\/rates\/([a-z]+)$/.exec(path)?.[1];
  if (method === "PUT" && currency !== undefined) {
    await state.set(`rate-${currency}`, Number(body));
    return { status: 204 };
  }
  if (method === "GET" && path === "/dead-letters") {
    const deadLetters = await Array.fromAsync(pubsub.deadLetters<OrderPlaced>("orders"));
    return { status: 200, body: deadLetters.map(({ data, lastError }) => ({ order: data.id, lastError })) };
  }
  if (method === "POST" && path === "/dead-letters/requeue") {
    return { status: 200, body: { requeued: await pubsub.requeueDeadLetters("orders", "all") } };
  }
  return { status: 404 };
});
