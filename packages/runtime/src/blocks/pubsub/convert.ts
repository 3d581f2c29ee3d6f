import { create, fromBinary } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { Event } from "@mecha/api/pubsub";
import {
  type DeadLetter as DeadLetterMessage,
  DeadLetterSchema,
  DeliverySchema,
  EventSchema,
  type GroupSettings as GroupSettingsMessage,
  GroupSettingsSchema,
  type Start,
  StartSchema,
} from "@mecha/api/pubsub";
import type { DeadLetter, GroupSettings, GroupStart } from "@mecha/component";
import type { Delivery } from "../../delivery/dispatcher.js";
import { toPolicyMessage } from "../../delivery/terms.js";
import type { DeliveredItem } from "../../telemetry/deliveries.js";
import { fromTimestamp, toTimestamp } from "../time.js";

/** An event as a component stored it. */
/** What an event tells of itself where deliveries are counted and traced. */
export function tellOfEvent({ time, extensions }: Event): DeliveredItem {
  return { time: time && fromTimestamp(time), traceparent: extensions.traceparent };
}

export const readEvent = (payload: Uint8Array): Event => fromBinary(EventSchema, payload);

/** A delivery as a message. */
export function toDelivery(
  { id, item, attempt, orderingKey }: Pick<Delivery<Event>, "id" | "item" | "attempt" | "orderingKey">,
  topic: string,
) {
  const delivery = create(DeliverySchema);
  delivery.deliveryId = id;
  delivery.event = item;
  delivery.attempt = attempt;
  delivery.topic = topic;
  delivery.orderingKey = orderingKey;
  return delivery;
}

/** A group's settings as a message. */
export function toSettingsMessage(settings: GroupSettings): GroupSettingsMessage {
  return create(GroupSettingsSchema, {
    filter: settings.filter,
    ordered: settings.ordered,
    start: toStart(settings.start),
    ...toPolicyMessage(settings),
  });
}

function toStart(start: GroupStart): Start {
  if (start.type === "earliest") return create(StartSchema, { position: { case: "earliest", value: true } });
  if (start.type === "new") return create(StartSchema);
  const value: Timestamp = toTimestamp(start.time);
  return create(StartSchema, { position: { case: "time", value } });
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
