import { randomUUID } from "node:crypto";
import {
  type Clock,
  createInputQueue,
  type InputDescription,
  type InputEvent,
  type InputQueue,
} from "@mecha/component";
import type { IPublishPacket, MqttClient } from "mqtt";
import type { ConnectionHandlers } from "./connection.js";
import { createUnackedMessages } from "./unacked.js";

export const events: InputDescription = {
  description: "A message came.",
  contentType: "*/*",
  metadata: [
    { name: "topic", type: "string", required: true, description: "The topic that it was published to." },
    {
      name: "qos",
      type: "integer",
      required: true,
      description: "0 or 1: whether the broker sends it again until it is told that it is done.",
    },
    {
      name: "retain",
      type: "boolean",
      required: true,
      description: "Whether it is one that the broker kept from before.",
    },
    { name: "responseTopic", type: "string", required: false, description: "Where the publisher wants an answer." },
    {
      name: "correlationData",
      type: "string",
      required: false,
      description: "What the answer shall carry, in base64.",
    },
    { name: "property.*", type: "string", required: false, description: "A user property of the message." },
  ],
};

/** Messages of QoS 0 that may wait; further ones are dropped, as that QoS allows. */
const maxUnreliable = 10_000;

/** The messages that come as events: the broker is told that one is done once the app has said so. */
export interface MessageFlow extends ConnectionHandlers {
  readonly queue: InputQueue;
}

/** @param client who is told; undefined while there is no connection. */
export function createMessageFlow(clock: Clock, client: () => MqttClient | undefined): MessageFlow {
  const unacked = createUnackedMessages();

  /** Done for good: acked, or given up. While there is no connection the broker hears it when it sends the message again. */
  const settle = (event: InputEvent) => {
    const messageId = unacked.settle(event);
    const current = client();
    if (messageId === undefined || current?.connected !== true) return;
    tellDone(current, messageId);
    unacked.told(messageId);
  };
  const queue = createInputQueue({ clock, onSettled: settle });

  return {
    queue,
    onConnect(resumed) {
      if (!resumed) unacked.clear();
    },
    onMessage(packet) {
      const { messageId, qos, dup } = packet;
      if (qos === 0 || messageId === undefined) {
        if (queue.size < maxUnreliable) queue.put(toEvent(packet, clock.now()));
        return true;
      }
      switch (unacked.classify(messageId, dup)) {
        case "held":
          return false;
        case "done":
          unacked.told(messageId);
          return true;
        default: {
          const event = toEvent(packet, clock.now());
          unacked.add(messageId, event);
          queue.put(event);
          return false;
        }
      }
    },
  };
}

/** PUBACK, success (MQTT 5, section 3.4): mqtt.js sends it by itself only, in the order of arrival. */
function tellDone({ stream }: MqttClient, messageId: number): void {
  stream.write(Buffer.from([0x40, 2, messageId >> 8, messageId & 0xff]));
}

function toEvent({ topic, payload, qos, retain, properties }: IPublishPacket, now: number): InputEvent {
  const metadata: Record<string, string> = { topic, qos: String(qos), retain: String(retain) };
  if (properties?.responseTopic !== undefined) metadata.responseTopic = properties.responseTopic;
  if (properties?.correlationData !== undefined)
    metadata.correlationData = properties.correlationData.toString("base64");
  for (const [name, value] of Object.entries(properties?.userProperties ?? {})) {
    metadata[`property.${name}`] = Array.isArray(value) ? value.join(", ") : value;
  }
  return {
    // MQTT has no ids: a publisher that wants one says it.
    id: metadata["property.id"]?.slice(0, 256) || randomUUID(),
    time: now,
    data: typeof payload === "string" ? Buffer.from(payload) : payload,
    contentType: properties?.contentType ?? "",
    metadata,
  };
}
