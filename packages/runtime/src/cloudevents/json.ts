import { isUtf8 } from "node:buffer";
import { create } from "@bufbuild/protobuf";
import { type Event, EventSchema } from "@mecha/api/pubsub";
import { badRequest } from "../blocks/validation.js";
import { attributesOf, fromAttributes, type OutgoingEvent } from "./attributes.js";
import { isJsonType, isTextType } from "./media-type.js";

/** CloudEvents' JSON format: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md */
export function toJsonText(outgoing: OutgoingEvent): string {
  const { dataContentType, data } = outgoing.event;
  const attributes = {
    ...attributesOf(outgoing),
    ...(dataContentType !== "" && { datacontenttype: dataContentType }),
  };
  return `${JSON.stringify(attributes).slice(0, -1)}${dataMember(dataContentType, data)}}`;
}

/** JSON stays as it was written, number for number; other text is a string; anything else base64. */
function dataMember(contentType: string, data: Uint8Array): string {
  if (data.byteLength === 0) return "";
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  if (isUtf8(bytes)) {
    const text = bytes.toString();
    if (isJsonType(contentType) && isJson(text)) return `,"data":${text}`;
    if (isTextType(contentType)) return `,"data":${JSON.stringify(text)}`;
  }
  return `,"data_base64":"${bytes.toString("base64")}"`;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Reads one event; `field` is where it stands, for errors: "" or "[3]". */
export function fromJsonValue(value: unknown, field: string): Event {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw badRequest([
      { field: field || "body", description: "is not a JSON object: an event in CloudEvents' JSON format" },
    ]);
  }
  const path = (name: string) => (field === "" ? name : `${field}.${name}`);
  const { data, data_base64, ...rest } = value as Record<string, unknown>;
  const attributes = new Map<string, string>();
  for (const [name, attribute] of Object.entries(rest)) {
    // An attribute that is null is not set.
    if (attribute === null) continue;
    if (!["string", "number", "boolean"].includes(typeof attribute)) {
      throw badRequest([{ field: path(name), description: "must be a string, a number or a boolean" }]);
    }
    attributes.set(name, String(attribute));
  }
  const contentType = attributes.get("datacontenttype") ?? "";
  return create(EventSchema, {
    ...fromAttributes(attributes, path),
    ...readData(data ?? undefined, data_base64 ?? undefined, contentType, path),
  });
}

function readData(data: unknown, base64: unknown, contentType: string, path: (name: string) => string) {
  if (base64 !== undefined) {
    if (data !== undefined) throw badRequest([{ field: path("data_base64"), description: "cannot stand beside data" }]);
    const bytes = typeof base64 === "string" ? fromBase64(base64) : undefined;
    if (bytes === undefined) throw badRequest([{ field: path("data_base64"), description: "is not base64" }]);
    return { data: bytes, dataContentType: contentType };
  }
  if (data === undefined) return { dataContentType: contentType };
  // Without a type it is JSON, by the format's own words.
  if (typeof data === "string" && contentType !== "" && !isJsonType(contentType)) {
    return { data: Buffer.from(data), dataContentType: contentType };
  }
  return { data: Buffer.from(JSON.stringify(data)), dataContentType: contentType || "application/json" };
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> | undefined {
  return /^[A-Za-z0-9+/]*={0,2}$/.test(text) && text.length % 4 === 0 ? Buffer.from(text, "base64") : undefined;
}

/** Parses a body. Numbers that JavaScript cannot hold stay what they are when the value is written again. */
export function parseJsonBody(body: Uint8Array): unknown {
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString();
  try {
    return longNumber.test(text) ? JSON.parse(text, keepNumber) : JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw badRequest([{ field: "body", description: `is not JSON: ${reason}` }]);
  }
}

const longNumber = /\d{16}/;

/** https://github.com/tc39/proposal-json-parse-with-source, which TypeScript does not know yet. */
const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };

function keepNumber(this: unknown, _key: string, value: unknown, context?: { source?: string }): unknown {
  const source = context?.source;
  return typeof value === "number" && source !== undefined && String(value) !== source ? rawJSON(source) : value;
}
