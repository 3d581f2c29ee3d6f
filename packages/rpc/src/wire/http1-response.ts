import { STATUS_CODES } from "node:http";
import { httpDate } from "./http-date.js";

/** Above this, copying the body beside its head costs more than a second buffer. */
const oneBufferBytes = 16 * 1024;

/** What the head of a response says about its connection. */
export interface ConnectionTerms {
  /** Whether the connection ends with this response. */
  readonly last: boolean;
  /** How long it may be idle otherwise, in seconds. */
  readonly keepAliveSeconds: number;
}

/** What is this module's to tell, whatever a handler has set; so is the length. */
const framing = new Set(["transfer-encoding", "connection", "keep-alive"]);

/** A response in the words of `node:http`, as buffers to write. `headers` are names and values in turn. */
export function encodeHttp1Response(
  status: number,
  headers: readonly string[],
  body: Uint8Array,
  { last, keepAliveSeconds }: ConnectionTerms,
): Buffer[] {
  let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "unknown"}\r\n`;
  let dated = false;
  let sized = false;
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index] as string;
    if (name === "content-length") {
      if (!sized) head += `content-length: ${body.length}\r\n`;
      sized = true;
    } else if (!framing.has(name)) {
      if (name === "date") dated = true;
      head += `${name}: ${headers[index + 1]}\r\n`;
    }
  }
  if (!sized) head += `content-length: ${body.length}\r\n`;
  if (!dated) head += `Date: ${httpDate()}\r\n`;
  head += last
    ? "Connection: close\r\n\r\n"
    : `Connection: keep-alive\r\nKeep-Alive: timeout=${keepAliveSeconds}\r\n\r\n`;
  if (body.length > oneBufferBytes) {
    return [Buffer.from(head, "latin1"), Buffer.from(body.buffer, body.byteOffset, body.byteLength)];
  }
  const buffer = Buffer.allocUnsafe(head.length + body.length);
  buffer.write(head, "latin1");
  buffer.set(body, head.length);
  return [buffer];
}
