export { type DeliveryRetryOptions, type ReceiveOptions, toRetryPolicy } from "./options.js";
export type { Settleable } from "./settleable.js";
export { createEventStream, type EventStream } from "./stream.js";
export { createEventSubscription, type EventHandler, type Subscription } from "./subscription.js";
export type { StreamRequest, StreamResponse, Wire } from "./wire.js";
