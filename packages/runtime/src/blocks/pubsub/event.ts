import { randomFillSync } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Event, EventSchema, type PublishEntry } from "@mecha/api/pubsub";
import { checkBytes, type Violations } from "../validation.js";

const maxAttributeBytes = 256;
const maxExtensions = 32;
const maxExtensionBytes = 1024;
const extensionName = /^[a-z0-9]{1,20}$/;

/** CloudEvents' own attributes: no extension may take their names. */
export const ownAttributes: ReadonlySet<string> = new Set([
  "id",
  "source",
  "specversion",
  "type",
  "datacontenttype",
  "dataschema",
  "subject",
  "time",
  "data",
]);

/** What the runtime fills in where a publisher says nothing. */
export interface EventDefaults {
  /** "/ns/<namespace>/app/<app id>". */
  readonly source: string;
  /** Ms since the epoch. */
  readonly now: number;
  /** The id of an event that has none; undefined: a new UUIDv7. */
  readonly id: string | undefined;
  /**
   * What the extension `traceparent` is, if the event has none, so that its consumers go on with the publisher's trace
   * (https://github.com/cloudevents/spec/blob/main/cloudevents/extensions/distributed-tracing.md).
   */
  readonly traceparent: string | undefined;
}

/** Checks an entry's event and fills in what it lacks, in a copy: in process the message is the caller's own. */
export function toEvent(entry: PublishEntry, path: string, defaults: EventDefaults, violations: Violations): Event {
  const given = entry.event;
  if (given === undefined) {
    violations.add(`${path}event`, "is missing");
    return create(EventSchema);
  }
  const at = `${path}event.`;
  checkBytes(`${at}id`, given.id, maxAttributeBytes, violations);
  checkBytes(`${at}source`, given.source, maxAttributeBytes, violations);
  checkBytes(`${at}type`, given.type, maxAttributeBytes, violations);
  checkBytes(`${at}subject`, given.subject, maxAttributeBytes, violations);
  checkBytes(`${at}data_content_type`, given.dataContentType, maxAttributeBytes, violations);
  checkBytes(`${at}data_schema`, given.dataSchema, maxAttributeBytes, violations);
  checkExtensions(given.extensions, `${at}extensions`, violations);
  checkTime(`${at}time`, given.time, violations);
  return {
    ...given,
    id: given.id || (defaults.id ?? uuidv7(defaults.now)),
    source: given.source || defaults.source,
    type: given.type || entry.topic,
    dataContentType: given.dataContentType || "application/octet-stream",
    time: given.time ?? timestampFromMs(defaults.now),
    extensions: withTrace(given.extensions, defaults.traceparent),
  };
}

/** What RFC 3339 can write, and so CloudEvents: the years 1 to 9999. */
const [earliestS, latestS] = [-62_135_596_800n, 253_402_300_799n];

function checkTime(field: string, time: Timestamp | undefined, violations: Violations): void {
  if (time === undefined) return;
  const { seconds, nanos } = time;
  if (seconds >= earliestS && seconds <= latestS && nanos >= 0 && nanos < 1e9) return;
  violations.add(field, "is no time of the years 1 to 9999, with nanos of 0 to 999999999");
}

function withTrace(extensions: Event["extensions"], traceparent: string | undefined): Event["extensions"] {
  if (traceparent === undefined || extensions.traceparent !== undefined) return extensions;
  return { ...extensions, traceparent };
}

function checkExtensions(extensions: Readonly<Record<string, string>>, field: string, violations: Violations): void {
  let count = 0;
  for (const [name, value] of Object.entries(extensions)) {
    count += 1;
    if (!extensionName.test(name) || ownAttributes.has(name)) {
      violations.add(
        `${field}["${name.slice(0, 40)}"]`,
        "is no extension's name: 1 to 20 characters of [a-z0-9], and no CloudEvents attribute's name",
      );
    }
    checkBytes(`${field}["${name.slice(0, 40)}"]`, value, maxExtensionBytes, violations);
  }
  if (count > maxExtensions) violations.add(field, `has ${count} entries; at most ${maxExtensions} are allowed`);
}

const uuidBytes = 16;
/** Random bytes for many ids: each draw is a call of the system. */
const pool = Buffer.alloc(256 * uuidBytes);
let used = pool.length;

/** A time-ordered id (RFC 9562, section 5.7). */
export function uuidv7(now: number): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const at = used;
  used += uuidBytes;
  pool.writeUIntBE(now, at, 6);
  pool.writeUInt8(0x70 | (pool.readUInt8(at + 6) & 0x0f), at + 6);
  pool.writeUInt8(0x80 | (pool.readUInt8(at + 8) & 0x3f), at + 8);
  const hex = pool.toString("hex", at, used);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
