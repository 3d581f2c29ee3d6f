import { create, fromBinary } from "@bufbuild/protobuf";
import { type Duration, DurationSchema, type Timestamp } from "@bufbuild/protobuf/wkt";
import type { Event } from "@mecha/api/pubsub";
import {
  type DeadLetter as DeadLetterMessage,
  DeadLetterSchema,
  type DeliveryResult,
  DeliveryResultSchema,
  DeliverySchema,
  EventSchema,
  type GroupSettings as GroupSettingsMessage,
  GroupSettingsSchema,
  RetryPolicySchema,
  SettleOutcome,
  type Start,
  StartSchema,
} from "@mecha/api/pubsub";
import type { DeadLetter, GroupSettings, GroupStart } from "@mecha/component";
import type { Delivery } from "../../delivery/dispatcher.js";
import { toTimestamp } from "../time.js";

/** An event as a component stored it. */
export const readEvent = (payload: Uint8Array): Event => fromBinary(EventSchema, payload);

/** A delivery as a message. */
export function toDelivery({ id, item, attempt, orderingKey }: Delivery<Event>, topic: string) {
  const delivery = create(DeliverySchema);
  delivery.deliveryId = id;
  delivery.event = item;
  delivery.attempt = attempt;
  delivery.topic = topic;
  delivery.orderingKey = orderingKey;
  return delivery;
}

/** Per id whether it counted. */
export function toResults(ids: readonly string[], counted: readonly boolean[]): DeliveryResult[] {
  return ids.map((deliveryId, index) => {
    const result = create(DeliveryResultSchema);
    result.deliveryId = deliveryId;
    result.outcome = counted[index] === true ? SettleOutcome.DONE : SettleOutcome.STALE;
    return result;
  });
}

/** A group's settings as a message. */
export function toSettingsMessage(settings: GroupSettings): GroupSettingsMessage {
  return create(GroupSettingsSchema, {
    filter: settings.filter,
    ordered: settings.ordered,
    start: toStart(settings.start),
    retry: create(RetryPolicySchema, {
      maxAttempts: settings.maxAttempts,
      minBackoff: toDuration(settings.minBackoffMs),
      maxBackoff: toDuration(settings.maxBackoffMs),
    }),
    ackTimeout: toDuration(settings.ackTimeoutMs),
  });
}

function toStart(start: GroupStart): Start {
  if (start.type === "earliest") return create(StartSchema, { position: { case: "earliest", value: true } });
  if (start.type === "new") return create(StartSchema);
  const value: Timestamp = toTimestamp(start.time);
  return create(StartSchema, { position: { case: "time", value } });
}

function toDuration(ms: number): Duration {
  const seconds = Math.floor(ms / 1000);
  return create(DurationSchema, { seconds: BigInt(seconds), nanos: (ms - seconds * 1000) * 1_000_000 });
}

/** A dead letter as a message. */
export function toDeadLetter(dead: DeadLetter, topic: string): DeadLetterMessage {
  return create(DeadLetterSchema, {
    deadLetterId: dead.id,
    event: readEvent(dead.payload),
    topic,
    orderingKey: dead.orderingKey,
    attempts: dead.attempts,
    lastError: dead.lastError,
    time: toTimestamp(dead.time),
  });
}
