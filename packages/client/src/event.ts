import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { PublishEntrySchema } from "@mecha/api/pubsub";
import { type Codec, codecOf, plainCodec } from "./codec.js";
import { type Duration, toDuration } from "./duration.js";
import type { ValueSchema } from "./schema.js";

/** What an event says beside its data, and how it is published. */
export interface EventOptions {
  /** Unique within `source`. Default: a new UUID. */
  id?: string;
  /** Where it comes from. Default: this app. */
  source?: string;
  /** What happened: "order.placed". Default: the topic. */
  type?: string;
  /** What it happened to. */
  subject?: string;
  /** When it happened. Default: now. */
  time?: Date;
  /** CloudEvents extension attributes: names of lower-case letters and digits. */
  extensions?: Record<string, string>;
  /** Events with the same key are delivered in order to groups that are `ordered`. */
  orderingKey?: string;
  /** Delivers it no sooner than this from now, in ms or as "10m". Feature DELAY. */
  delay?: Duration;
  /** Drops it when it was not delivered within this from now. Feature TTL. */
  ttl?: Duration;
  /** What is special to one component. */
  metadata?: Record<string, string>;
  /** What the data must be: a protobuf message's schema or any Standard Schema. Default: bytes as bytes, anything else as JSON. */
  schema?: ValueSchema;
}

/** An event to publish, as the contract says it. */
export async function toPublishEntry(
  topic: string,
  data: unknown,
  options: EventOptions,
): Promise<MessageInitShape<typeof PublishEntrySchema>> {
  const codec: Codec<unknown, unknown> =
    options.schema === undefined ? plainCodec : (codecOf(options.schema) as Codec<unknown, unknown>);
  const { value, contentType } =
    data === undefined
      ? { value: new Uint8Array(), contentType: "" }
      : await codec.encode(data, `event for topic "${topic}"`);
  return {
    topic,
    orderingKey: options.orderingKey ?? "",
    metadata: options.metadata ?? {},
    ...(options.delay !== undefined && { delay: toDuration(options.delay, "delay") }),
    ...(options.ttl !== undefined && { ttl: toDuration(options.ttl, "ttl") }),
    event: {
      id: options.id ?? "",
      source: options.source ?? "",
      type: options.type ?? "",
      subject: options.subject ?? "",
      dataContentType: contentType,
      data: value,
      extensions: options.extensions ?? {},
      ...(options.time !== undefined && { time: timestampFromDate(options.time) }),
    },
  };
}
