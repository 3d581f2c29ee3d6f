// What the three apps say to each other.

/** How an app subscribes that missed nothing, whichever app is started first. */
export const fromTheBeginning = { settings: { start: "earliest" } } as const;

/** On the topic "orders": somebody wants something. */
export interface OrderPlaced {
  readonly id: string;
  readonly customer: string;
  readonly email: string;
  readonly item: string;
  readonly price: number;
  readonly currency: string;
}

/** On the topic "payments": it is paid. */
export interface OrderPaid extends OrderPlaced {
  /** What was taken from the customer's account. */
  readonly cents: number;
}

/** What the intake app knows of an order. */
export interface Order extends OrderPlaced {
  readonly status: "placed" | "paid";
}

/** Reads what a customer sent; throws a sentence that the customer can act on. */
export function readOrder(text: string): OrderPlaced {
  const order = JSON.parse(text) as Partial<OrderPlaced>;
  for (const field of ["id", "customer", "email", "item", "currency"] as const) {
    if (typeof order[field] !== "string" || order[field] === "")
      throw new TypeError(`an order needs "${field}", a text`);
  }
  if (typeof order.price !== "number" || !(order.price > 0)) throw new TypeError('an order needs "price", above 0');
  return order as OrderPlaced;
}
