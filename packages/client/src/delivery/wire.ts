import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import type { ProlongSchema, SettleResult, SettleSchema } from "@mecha/api/pubsub";
import type { HeadersLike } from "../call.js";
import type { Settleable } from "./settleable.js";

/** What an app says on a stream of deliveries, whatever the block. */
export interface StreamRequest<Open> {
  readonly message:
    | { readonly case: "open"; readonly value: Open }
    | { readonly case: "ack"; readonly value: MessageInitShape<typeof SettleSchema> }
    | { readonly case: "extend"; readonly value: MessageInitShape<typeof ProlongSchema> };
}

/** What the runtime says on it. */
export interface StreamResponse<Opened, Delivery> {
  readonly message:
    | { readonly case: "opened"; readonly value: Opened }
    | { readonly case: "deliveries"; readonly value: { readonly deliveries: readonly Delivery[] } }
    | { readonly case: "ackResult"; readonly value: SettleResult }
    | { readonly case: "draining"; readonly value: unknown }
    | { readonly case: undefined; readonly value?: undefined };
}

/** A delivery, as far as every block has it. */
export interface AnyDelivery {
  readonly deliveryId: string;
}

/** One subscription of a block: what is opened, and how what comes is read. */
export interface Wire<Open, Opened, Delivery extends AnyDelivery, Event extends Settleable> {
  readonly open: Open;
  /** The block's Subscribe. */
  subscribe(
    requests: AsyncIterable<StreamRequest<Open>>,
    options: { readonly signal: AbortSignal; readonly headers?: HeadersLike },
  ): AsyncIterable<StreamResponse<Opened, Delivery>>;
  /** The time to settle in effect, as the runtime tells it. */
  ackTimeoutOf(opened: Opened): Duration | undefined;
  /** Reads a delivery; rejects when its data is not what was asked for, which makes it a dead letter. */
  read(delivery: Delivery, settleable: Settleable): Promise<Event>;
}
