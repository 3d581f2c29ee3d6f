import type { IncomingHttpHeaders } from "node:http";

/** Headers by their names in lower case; one that comes in several lines is a list. */
export type HeaderFields = Readonly<Record<string, string | readonly string[] | undefined>>;

/** Of these Node takes the first and no other (https://nodejs.org/api/http.html#messageheaders). */
const single = new Set([
  "age",
  "authorization",
  "content-length",
  "content-type",
  "etag",
  "expires",
  "from",
  "host",
  "if-modified-since",
  "if-unmodified-since",
  "last-modified",
  "location",
  "max-forwards",
  "proxy-authorization",
  "referer",
  "retry-after",
  "server",
  "user-agent",
]);

/** Names and values in turn as Node gives headers. */
export function toIncomingHeaders(fields: readonly string[]): IncomingHttpHeaders {
  const headers: IncomingHttpHeaders = {};
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index] as string;
    const value = fields[index + 1] as string;
    // No property of its own.
    if (name === "__proto__") continue;
    const before = headers[name];
    if (name === "set-cookie") {
      if (Array.isArray(before)) before.push(value);
      else headers[name] = [value];
    } else if (typeof before !== "string") headers[name] = value;
    else if (!single.has(name)) headers[name] = `${before}${name === "cookie" ? "; " : ", "}${value}`;
  }
  return headers;
}

/** Headers as names and values in turn. */
export function toFields(headers: HeaderFields): string[] {
  const fields: string[] = [];
  for (const name of Object.keys(headers)) {
    const value = headers[name];
    if (typeof value === "string") fields.push(name, value);
    else if (value !== undefined) for (const each of value) fields.push(name, each);
  }
  return fields;
}
