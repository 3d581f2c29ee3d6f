import { create } from "@bufbuild/protobuf";
import { type Event, EventSchema } from "@mecha/api/pubsub";
import { badRequest } from "../blocks/validation.js";
import { fromBinaryMode, type HeaderValues, isBinaryEvent } from "./binary.js";
import { fromJsonValue, parseJsonBody } from "./json.js";
import { isBatched, isStructured } from "./media-type.js";

/**
 * Reads what an HTTP producer sends: CloudEvents in any content mode, told apart as their HTTP binding says; anything else is the data of an
 * event that says no more. Several only where a batch is sent.
 */
export function readEvents(headers: HeaderValues, body: Uint8Array): Event | Event[] {
  const contentType = String(headers["content-type"] ?? "");
  if (isBatched(contentType)) {
    const values = parseJsonBody(body);
    if (!Array.isArray(values)) throw badRequest([{ field: "body", description: "is not a JSON array of events" }]);
    return values.map((value, index) => fromJsonValue(value, `[${index}]`));
  }
  if (isStructured(contentType)) return fromJsonValue(parseJsonBody(body), "");
  if (/^application\/cloudevents/i.test(contentType)) {
    const description = `is "${contentType}"; of CloudEvents' formats JSON is read: application/cloudevents+json, application/cloudevents-batch+json`;
    throw badRequest([{ field: "content-type", description }]);
  }
  if (isBinaryEvent(headers)) return fromBinaryMode(headers, body);
  return create(EventSchema, { data: body, dataContentType: contentType });
}
