export { MechaError } from "@mecha/client";
export { createPubSubClient, type PubSubClient, type PubSubClientOptions } from "./client.js";
export type { DeadLetter, DeadLetterOptions } from "./dead-letters.js";
export type { ReceivedEvent } from "./event.js";
export type { GroupSettings, SubscribeOptions } from "./options.js";
export type { PublishEntry, Published, PublishOptions, PublishOutcome } from "./publish.js";
export type { EventStream } from "./stream.js";
export type { EventHandler, Subscription } from "./subscription.js";
