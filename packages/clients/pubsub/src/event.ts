import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Delivery } from "@mecha/api/pubsub";
import type { Codec } from "@mecha/client";
import type { Settleable } from "@mecha/client/delivery";

/** One attempt at delivering one event. Settle it once: `ack`, `retry` or `reject`. */
export interface ReceivedEvent<T = unknown> extends Omit<Settleable, "deliveryId" | "settled"> {
  readonly id: string;
  readonly source: string;
  readonly type: string;
  readonly subject: string;
  readonly time: Date | undefined;
  readonly data: T;
  readonly contentType: string;
  readonly extensions: Readonly<Record<string, string>>;
  readonly topic: string;
  readonly orderingKey: string;
  /** 1 for the first attempt. */
  readonly attempt: number;
}

/** Handles one event. Returning acks it, unless it was settled; throwing has it delivered again, with the error's message. */
export type EventHandler<T> = (event: ReceivedEvent<T>) => Promise<void> | void;

/** Reads a delivery. Rejects when its data is not what the codec takes. */
export async function toEvent<T>(
  { event, topic, orderingKey, attempt }: Delivery,
  settleable: Settleable,
  codec: Codec<never, T>,
): Promise<ReceivedEvent<T> & Settleable> {
  const contentType = event?.dataContentType ?? "";
  const id = event?.id ?? "";
  const data = await codec.decode({ value: event?.data ?? new Uint8Array(), contentType }, `event "${id}"`);
  return Object.assign(settleable, {
    id,
    source: event?.source ?? "",
    type: event?.type ?? "",
    subject: event?.subject ?? "",
    time: event?.time && timestampDate(event.time),
    data,
    contentType,
    extensions: event?.extensions ?? {},
    topic,
    orderingKey,
    attempt,
  });
}
