import { randomUUID } from "node:crypto";
import { type BindingData, ComponentError, durationMs, type InvokeCall, type Operation } from "@mecha/component";
import type { IClientPublishOptions } from "mqtt";
import type { MqttConnection } from "./connection.js";

export const operations: readonly Operation[] = [
  {
    name: "publish",
    description: "Publishes a message; with QoS 1 it answers when the broker has it.",
    parameters: [
      { name: "topic", type: "string", required: true, description: 'Where to: "sensors/7/set". No "+" and no "#".' },
      {
        name: "qos",
        type: "integer",
        required: false,
        description: "0: sent once and forgotten; 1: until the broker has it. Default: 1.",
      },
      {
        name: "retain",
        type: "boolean",
        required: false,
        description: "Whether the broker keeps it for whoever subscribes later. Default: false.",
      },
      {
        name: "expiry",
        type: "duration",
        required: false,
        description:
          "How long the broker may hold it for a client that is away, rounded up to seconds. Default: without end.",
      },
      { name: "responseTopic", type: "string", required: false, description: "Where an answer shall go." },
      {
        name: "correlationData",
        type: "string",
        required: false,
        description: "What an answer shall carry, in base64.",
      },
      {
        name: "property.*",
        type: "string",
        required: false,
        description: 'A user property. "property.id" is the id of the event that it becomes. Default: a new one.',
      },
    ],
    input: "*/*",
  },
];

const nothing: BindingData = { data: new Uint8Array(), contentType: "", metadata: {} };

/** Publishes one message. */
export async function publish({ client, check }: MqttConnection, call: InvokeCall): Promise<BindingData> {
  check();
  call.signal.throwIfAborted();
  const { topic = "" } = call.metadata;
  checkTopic(topic);
  const options = toOptions(call);
  const { promise, resolve, reject } = Promise.withResolvers<BindingData>();
  const giveUp = () => reject(unknown(topic, "the call was given up"));
  call.signal.addEventListener("abort", giveUp, { once: true });
  client.publish(topic, Buffer.from(call.data.buffer, call.data.byteOffset, call.data.byteLength), options, (error) => {
    if (error) reject(explain(error, topic));
    else resolve(nothing);
  });
  try {
    return await promise;
  } finally {
    call.signal.removeEventListener("abort", giveUp);
  }
}

function toOptions({ metadata, contentType }: InvokeCall): IClientPublishOptions {
  const qos = metadata.qos ?? "1";
  if (qos !== "0" && qos !== "1") throw badRequest("qos", `is ${qos}; 0 and 1 are allowed`);
  const userProperties: Record<string, string> = { id: randomUUID() };
  for (const [key, value] of Object.entries(metadata)) {
    if (key.startsWith("property.")) userProperties[key.slice("property.".length)] = value;
  }
  const expiryMs = metadata.expiry === undefined ? undefined : durationMs(metadata.expiry);
  return {
    qos: qos === "0" ? 0 : 1,
    retain: metadata.retain === "true",
    properties: {
      userProperties,
      ...(contentType !== "" && { contentType }),
      ...(expiryMs !== undefined && { messageExpiryInterval: Math.min(Math.ceil(expiryMs / 1000), 0xffff_ffff) }),
      ...(metadata.responseTopic !== undefined && { responseTopic: metadata.responseTopic }),
      ...(metadata.correlationData !== undefined && {
        correlationData: Buffer.from(metadata.correlationData, "base64"),
      }),
    },
  };
}

function checkTopic(topic: string): void {
  const isTopic = topic !== "" && Buffer.byteLength(topic) <= 65_535 && topic.isWellFormed() && !/[+#\0]/.test(topic);
  if (!isTopic)
    throw badRequest("topic", `is "${topic.slice(0, 100)}"; it must be 1 to 65535 bytes, without "+", "#" and NUL`);
}

/** The broker's own word is clear; anything else leaves open whether it has the message. */
function explain(error: Error, topic: string): ComponentError {
  const code = "code" in error && typeof error.code === "number" ? error.code : 0;
  if (code === 0) return unknown(topic, error.message, error);
  const reason =
    code === notAuthorized || code === topicInvalid || code === formatInvalid || code === tooLarge
      ? "BAD_REQUEST"
      : "COMPONENT_UNAVAILABLE";
  return new ComponentError(reason, `the broker refused the message for "${topic}": ${error.message}`, {
    cause: error,
  });
}

const [notAuthorized, topicInvalid, tooLarge, formatInvalid] = [135, 144, 149, 153];

function unknown(topic: string, why: string, cause?: unknown): ComponentError {
  return new ComponentError("OUTCOME_UNKNOWN", `the message for "${topic}" may have been published: ${why}`, { cause });
}

function badRequest(name: string, description: string): ComponentError {
  const violations = [{ field: `metadata["${name}"]`, description }];
  return new ComponentError("BAD_REQUEST", `${name} ${description}`, { violations });
}
