import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import type { Delivery, Opened, OpenSchema, PubSubService } from "@mecha/api/pubsub";
import type { Codec, RuntimeConnection } from "@mecha/client";
import type { Settleable, Wire } from "@mecha/client/delivery";
import { type ReceivedEvent, toEvent } from "./event.js";
import { type SubscribeOptions, toOpen } from "./options.js";

/** What every call of a client shares. */
export interface Scope {
  readonly runtime: RuntimeConnection;
  readonly rpc: Client<typeof PubSubService>;
  readonly pubsub: string;
}

type Open = MessageInitShape<typeof OpenSchema>;

/** The events of a group, as the flow of deliveries takes them. */
export function createWire<T>(
  { rpc, pubsub }: Scope,
  topic: string,
  codec: Codec<never, T>,
  maxInFlight: number,
  options: SubscribeOptions,
): Wire<Open, Opened, Delivery, ReceivedEvent<T> & Settleable> {
  return {
    open: toOpen(topic, options.pubsub ?? pubsub, maxInFlight, options),
    subscribe: (requests, call) => rpc.subscribe(requests, call),
    ackTimeoutOf: ({ settings }) => settings?.ackTimeout,
    read: (delivery, settleable) => toEvent(delivery, settleable, codec),
  };
}
