export { MechaError } from "@mecha/client";
export type { EventStream, Subscription } from "@mecha/client/delivery";
export { createPubSubClient, type PubSubClient, type PubSubClientOptions } from "./client.js";
export type { DeadLetter, DeadLetterOptions } from "./dead-letters.js";
export type { EventHandler, ReceivedEvent } from "./event.js";
export type { GroupSettings, SubscribeOptions } from "./options.js";
export type { PublishEntry, Published, PublishOptions, PublishOutcome } from "./publish.js";
