import { fromJson, toJson } from "@bufbuild/protobuf";
import { type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import type { Event } from "@mecha/api/pubsub";
import { badRequest } from "../blocks/validation.js";

/** The version of CloudEvents that is written and read. https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md */
export const specVersion = "1.0";

/** The extension that names what events are kept in order by: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/extensions/partitioning.md */
export const partitionKey = "partitionkey";

/** An event on its way out. */
export interface OutgoingEvent {
  readonly event: Event;
  /** Empty: none. */
  readonly orderingKey: string;
}

/** An event's attributes by their names in CloudEvents, as text; `datacontenttype` aside, whose place differs by format. */
export function attributesOf({ event, orderingKey }: OutgoingEvent): Record<string, string> {
  const { id, source, type, subject, time, dataSchema, extensions } = event;
  return {
    specversion: specVersion,
    id,
    source,
    type,
    ...(subject !== "" && { subject }),
    ...(time !== undefined && { time: formatTime(time) }),
    ...(dataSchema !== "" && { dataschema: dataSchema }),
    ...(orderingKey !== "" && { [partitionKey]: orderingKey }),
    ...extensions,
  };
}

function formatTime(time: Timestamp): string {
  return toJson(TimestampSchema, time);
}

/** Reads attributes, all of them text by now; `field` names one in an error. What is required is there, as CloudEvents has it. */
export function fromAttributes(
  attributes: ReadonlyMap<string, string>,
  field: (name: string) => string,
): Omit<Event, "$typeName" | "$unknown" | "data" | "dataContentType"> {
  const missing = ["id", "source", "type"].filter((name) => !attributes.get(name));
  const faults = missing.map((name) => ({ field: field(name), description: "is missing; CloudEvents requires it" }));
  const version = attributes.get("specversion");
  if (version !== specVersion) {
    const what = version === undefined ? "is missing" : `is "${version.slice(0, 20)}"`;
    faults.push({ field: field("specversion"), description: `${what}; it must be "${specVersion}"` });
  }
  const timeText = attributes.get("time");
  const time = timeText === undefined ? undefined : parseTime(timeText);
  if (time === null) {
    faults.push({ field: field("time"), description: 'is no time as RFC 3339 has it: "2026-11-21T10:00:00Z"' });
  }
  if (faults.length > 0) throw badRequest(faults);
  const extensions = Object.fromEntries([...attributes].filter(([name]) => !known.has(name)));
  return {
    id: attributes.get("id") ?? "",
    source: attributes.get("source") ?? "",
    type: attributes.get("type") ?? "",
    subject: attributes.get("subject") ?? "",
    dataSchema: attributes.get("dataschema") ?? "",
    extensions,
    ...(time && { time }),
  };
}

const known = new Set(["specversion", "id", "source", "type", "subject", "time", "dataschema", "datacontenttype"]);

function parseTime(text: string): Timestamp | null {
  try {
    return fromJson(TimestampSchema, text);
  } catch {
    return null;
  }
}
