import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Delivery } from "@mecha/api/pubsub";
import { type Codec, type Duration, toMilliseconds } from "@mecha/client";
import type { Session } from "./session.js";

/** One attempt at delivering one event. Settle it once: `ack`, `retry` or `reject`. */
export interface ReceivedEvent<T = unknown> {
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
  /** Done. False if it was too late: then the event may come again. */
  ack(): Promise<boolean>;
  /** Failed: deliver it again, after the group's backoff or `after`; out of attempts it becomes a dead letter. */
  retry(options?: { after?: Duration; error?: string }): Promise<boolean>;
  /** Can never succeed: make it a dead letter now. */
  reject(error?: string): Promise<boolean>;
  /** Gives it more time: `ackTimeout` from now, by default the group's. */
  extend(ackTimeout?: Duration): Promise<boolean>;
}

/** A received event, and whether it was settled. */
export interface OpenEvent<T> extends ReceivedEvent<T> {
  readonly deliveryId: string;
  readonly settled: boolean;
}

/** The longest error that a dead letter keeps, in bytes. */
const maxErrorBytes = 1024;

/** Reads a delivery. Rejects when its data is not what the codec takes. */
export async function toEvent<T>(delivery: Delivery, session: Session, codec: Codec<never, T>): Promise<OpenEvent<T>> {
  const { deliveryId, event, topic, orderingKey, attempt } = delivery;
  const contentType = event?.dataContentType ?? "";
  const id = event?.id ?? "";
  const data = await codec.decode({ value: event?.data ?? new Uint8Array(), contentType }, `event "${id}"`);
  let settled = false;
  return {
    deliveryId,
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
    get settled() {
      return settled;
    },
    ack() {
      settled = true;
      return session.ack(deliveryId);
    },
    retry({ after, error = "" } = {}) {
      settled = true;
      const retryAfterMs = after === undefined ? undefined : Math.ceil(toMilliseconds(after, "after"));
      return session.refuse(deliveryId, { retryAfterMs, error: shorten(error) });
    },
    reject(error = "") {
      settled = true;
      return session.refuse(deliveryId, { reject: shorten(error) });
    },
    extend: (ackTimeout) =>
      session.extend([deliveryId], ackTimeout === undefined ? undefined : toMilliseconds(ackTimeout, "ackTimeout")),
  };
}

/** Cuts a text to what the contract takes, at a character's border. */
export function shorten(text: string): string {
  const bytes = new TextEncoder().encode(text);
  return bytes.length <= maxErrorBytes
    ? text
    : new TextDecoder().decode(bytes.subarray(0, maxErrorBytes - 3)).replace(/\uFFFD+$/, "");
}
