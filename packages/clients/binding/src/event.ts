import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Delivery } from "@mecha/api/binding";
import type { Codec } from "@mecha/client";
import type { Settleable } from "@mecha/client/delivery";

/** One attempt at delivering one event. Settle it once: `ack`, `retry` or `reject`. */
export interface BindingEvent<T = unknown> extends Omit<Settleable, "deliveryId" | "settled"> {
  /** Unique within its binding; the same when it comes again. */
  readonly id: string;
  /** When it happened. */
  readonly time: Date | undefined;
  /** By content type: JSON is parsed, `text/*` is a string, anything else is bytes; undefined if there is none. */
  readonly data: T;
  readonly contentType: string;
  /** What else is known of it: `mecha info` lists what. */
  readonly metadata: Readonly<Record<string, string>>;
  /** 1 for the first attempt. */
  readonly attempt: number;
}

/** Handles one event. Returning acks it, unless it was settled; throwing has it delivered again, with the error's message. */
export type BindingEventHandler<T> = (event: BindingEvent<T>) => Promise<void> | void;

/** Reads a delivery. Rejects when its data is not what the codec takes. */
export async function toEvent<T>(
  { event, attempt }: Delivery,
  settleable: Settleable,
  codec: Codec<never, T>,
): Promise<BindingEvent<T> & Settleable> {
  const { id = "", time, contentType = "", metadata = {} } = event ?? {};
  return Object.assign(settleable, {
    id,
    time: time && timestampDate(time),
    data: await readData(event?.data ?? new Uint8Array(), contentType, codec, `event "${id}"`),
    contentType,
    metadata,
    attempt,
  });
}

/** Data as the content type says; undefined if there is none. */
export async function readData<T>(
  value: Uint8Array,
  contentType: string,
  codec: Codec<never, T>,
  name: string,
): Promise<T> {
  // Nothing, and of no type: there is no data, which no codec can make up.
  if (value.byteLength === 0 && contentType === "") return undefined as T;
  return codec.decode({ value, contentType }, name);
}
