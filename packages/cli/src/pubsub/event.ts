import { isUtf8 } from "node:buffer";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Event } from "@mecha/api/pubsub";
import { toJsonFields } from "../state/value.js";
import pc from "../terminal/colors.js";
import { formatJson } from "../terminal/json.js";
import { printable } from "../terminal/printable.js";

/** An event in CloudEvents' JSON format, which is what `POST /publish/<topic>` takes. */
export function toCloudEvent(event: Event, orderingKey: string): Record<string, unknown> {
  const { id, source, type, subject, time, dataContentType, dataSchema, data, extensions } = event;
  return {
    specversion: "1.0",
    id,
    source,
    type,
    ...(subject !== "" && { subject }),
    ...(time !== undefined && { time: timestampDate(time).toISOString() }),
    ...(dataSchema !== "" && { dataschema: dataSchema }),
    ...(orderingKey !== "" && { partitionkey: orderingKey }),
    ...extensions,
    ...(dataContentType !== "" && { datacontenttype: dataContentType }),
    ...dataFields(data, dataContentType),
  };
}

function dataFields(value: Uint8Array, contentType: string) {
  if (value.byteLength === 0) return {};
  const fields = toJsonFields({ value, contentType });
  return "value" in fields ? { data: fields.value } : { data_base64: fields.valueBase64 };
}

/** An event for a person: a line about it, then its data. */
export function formatEvent(event: Event, { orderingKey, attempt }: { orderingKey: string; attempt: number }): string {
  const { id, source, type, subject, time, extensions } = event;
  const clock = time === undefined ? "" : timestampDate(time).toISOString().slice(11, 23);
  const details = [
    subject,
    orderingKey && `key=${orderingKey}`,
    ...Object.entries(extensions).map(([name, value]) => `${name}=${value}`),
    attempt > 1 ? `attempt=${attempt}` : "",
    `${source} ${id}`,
  ].filter(Boolean);
  const head = `${pc.dim(clock)}  ${pc.bold(printable(type))}  ${pc.dim(printable(details.join("  ")))}`;
  const body = formatData(event);
  return body === "" ? `${head}\n` : `${head}\n${body}\n`;
}

function formatData({ data, dataContentType }: Event): string {
  if (data.byteLength === 0) return "";
  const fields = toJsonFields({ value: data, contentType: dataContentType });
  if (!("value" in fields)) return pc.dim(`(${data.byteLength} bytes of ${printable(dataContentType)})`);
  const isText = typeof fields.value === "string" && isUtf8(data) && dataContentType.startsWith("text/");
  return isText ? printable(String(fields.value), "\n") : formatJson(fields.value);
}
