export { MechaError } from "@mecha/client";
export type { EventStream, Subscription } from "@mecha/client/delivery";
export {
  type BindingClient,
  createBindingClient,
  type InvokeOptions,
  type InvokeResult,
  type SubscribeOptions,
} from "./client.js";
export type { BindingEvent, BindingEventHandler } from "./event.js";
