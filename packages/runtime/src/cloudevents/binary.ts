import { create } from "@bufbuild/protobuf";
import { type Event, EventSchema } from "@mecha/api/pubsub";
import { attributesOf, fromAttributes, type OutgoingEvent } from "./attributes.js";

/** CloudEvents' binary content mode: attributes are headers, the body is the data. */
const prefix = "ce-";

/** What needs no encoding in a header: printable ASCII but for space, double quote and percent. */
const plain = /^[\x21\x23\x24\x26-\x7e]*$/;
const notPlain = /[^\x21\x23\x24\x26-\x7e]/gu;

/** What a header can carry as it is; a content type has an encoding of its own and is not encoded again. */
const headerText = /^[\t\x20-\x7e]+$/;

/** The headers of an event whose data is the body. */
export function toBinaryHeaders(outgoing: OutgoingEvent): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(attributesOf(outgoing))) headers[prefix + name] = encodeHeader(value);
  const { dataContentType, data } = outgoing.event;
  if (headerText.test(dataContentType)) headers["content-type"] = dataContentType;
  else if (data.byteLength > 0) headers["content-type"] = "application/octet-stream";
  return headers;
}

/** Whether headers say that they carry an event. */
export function isBinaryEvent(headers: HeaderValues): boolean {
  return Object.keys(headers).some((name) => name.startsWith(prefix));
}

/** Reads an event of headers and body. */
export function fromBinaryMode(headers: HeaderValues, data: Uint8Array): Event {
  const attributes = new Map<string, string>();
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(prefix) && value !== undefined) {
      attributes.set(name.slice(prefix.length), decodeHeader(Array.isArray(value) ? value.join(", ") : value));
    }
  }
  const contentType = headers["content-type"];
  return create(EventSchema, {
    ...fromAttributes(attributes, (name) => `header ${prefix}${name}`),
    data,
    dataContentType: typeof contentType === "string" ? contentType : "",
  });
}

/** Headers as Node has them: names in lower case. */
export type HeaderValues = Readonly<Record<string, string | string[] | undefined>>;

/** https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md#3132-http-header-values */
export function encodeHeader(value: string): string {
  return plain.test(value) ? value : value.toWellFormed().replace(notPlain, encodeURIComponent);
}

/** Undoes quoting, then one round of percent-encoding; a percent sign that encodes nothing is one. */
export function decodeHeader(value: string): string {
  const quoted = /^"(.*)"$/s.exec(value)?.[1];
  const text = quoted === undefined ? value : quoted.replace(/\\(.)/gs, "$1");
  return text.replace(/(?:%[0-9a-f]{2})+/gi, (encoded) => {
    try {
      return decodeURIComponent(encoded);
    } catch {
      return encoded;
    }
  });
}
