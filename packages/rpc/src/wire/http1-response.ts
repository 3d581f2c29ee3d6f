import { STATUS_CODES } from "node:http";
import { httpDate } from "./http-date.js";
import { fieldLine } from "./http1-fields.js";

/** Above this, copying the body beside its head costs more than a second buffer. */
const oneBufferBytes = 16 * 1024;

/** What the head of a response says about its connection. */
export interface ConnectionTerms {
  /** Whether the connection ends with this response. */
  readonly last: boolean;
  /** How long it may be idle otherwise, in seconds. */
  readonly keepAliveSeconds: number;
}

/** How long the body is, "chunked", or "none": no body follows whatever the headers say of its length (HEAD, 204, 304). */
export type BodyFraming = number | "chunked" | "none";

/** What is this module's to tell, whatever a handler has set; so is the length. */
const framing = new Set(["transfer-encoding", "connection", "keep-alive"]);

/** The head of a response in the words of `node:http`. `headers` are names and values in turn. */
export function encodeHttp1Head(
  status: number,
  headers: readonly string[],
  body: BodyFraming,
  { last, keepAliveSeconds }: ConnectionTerms,
): string {
  let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "unknown"}\r\n`;
  let dated = false;
  let sized = typeof body !== "number";
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index] as string;
    const value = headers[index + 1] as string;
    if (name === "content-length") {
      if (!sized) head += `content-length: ${body}\r\n`;
      else if (body === "none" && /^\d{1,15}$/.test(value)) head += `content-length: ${value}\r\n`;
      sized = true;
    } else if (!framing.has(name)) {
      if (name === "date") dated = true;
      head += fieldLine(name, value);
    }
  }
  if (!sized) head += `content-length: ${body}\r\n`;
  if (!dated) head += `Date: ${httpDate()}\r\n`;
  head += last ? "Connection: close\r\n" : `Connection: keep-alive\r\nKeep-Alive: timeout=${keepAliveSeconds}\r\n`;
  return body === "chunked" ? `${head}Transfer-Encoding: chunked\r\n\r\n` : `${head}\r\n`;
}

/** A response as buffers to write. */
export function encodeHttp1Response(
  status: number,
  headers: readonly string[],
  body: Uint8Array,
  terms: ConnectionTerms,
  bodiless = false,
): Buffer[] {
  // An answer to HEAD tells the length of what it leaves out.
  const head = encodeHttp1Head(status, headers, bodiless && body.length === 0 ? "none" : body.length, terms);
  if (bodiless) return [Buffer.from(head, "latin1")];
  if (body.length > oneBufferBytes) {
    return [Buffer.from(head, "latin1"), Buffer.from(body.buffer, body.byteOffset, body.byteLength)];
  }
  const buffer = Buffer.allocUnsafe(head.length + body.length);
  buffer.write(head, "latin1");
  buffer.set(body, head.length);
  return [buffer];
}

/** A word before the response, such as early hints. */
export function encodeHttp1Information(status: number, headers: readonly string[]): string {
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "unknown"}\r\n${fieldLines(headers)}\r\n`;
}

/** Header lines; none of those that frame. */
export function fieldLines(headers: readonly string[]): string {
  let lines = "";
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index] as string;
    if (name !== "content-length" && !framing.has(name)) lines += fieldLine(name, headers[index + 1] as string);
  }
  return lines;
}

/** A handler may set the header, as with `node:http`. */
export function asksToClose(headers: readonly string[]): boolean {
  // Most answers have two headers.
  if (headers.length <= 4) return false;
  const index = headers.indexOf("connection");
  return index !== -1 && index % 2 === 0 && /\bclose\b/i.test(headers[index + 1] ?? "");
}
