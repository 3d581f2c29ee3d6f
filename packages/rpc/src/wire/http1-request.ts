import { fieldLine } from "./http1-fields.js";

/** What this module tells of a request's framing and connection, whatever its headers say. */
const framing = new Set(["content-length", "transfer-encoding", "connection", "keep-alive", "host", "expect"]);

/** Above this, copying the body beside its head costs more than a second buffer. */
const oneBufferBytes = 64 * 1024;

/** The head of a request but for its length, each line ended. `headers` are names and values in turn. */
export function encodeHttp1RequestHead(
  method: string,
  target: string,
  host: string,
  headers: readonly string[],
): string {
  if (!/^[A-Z]+$/.test(method) || !/^\/[\x21-\x7e]*$/.test(target)) {
    throw new TypeError("a request line has a character that must not be written");
  }
  let head = `${method} ${target} HTTP/1.1\r\n${fieldLine("host", host)}`;
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index] as string;
    if (!framing.has(name)) head += fieldLine(name, headers[index + 1] as string);
  }
  return head;
}

/** A request as buffers to write; `body` is undefined where even its length is not told. */
export function encodeHttp1Request(head: string, body: Uint8Array | undefined): Buffer[] {
  if (body === undefined) return [Buffer.from(`${head}\r\n`, "latin1")];
  const text = `${head}content-length: ${body.length}\r\n\r\n`;
  if (body.length > oneBufferBytes) {
    return [Buffer.from(text, "latin1"), Buffer.from(body.buffer, body.byteOffset, body.byteLength)];
  }
  // One write for both; a large body is not copied for it.
  const bytes = Buffer.allocUnsafe(text.length + body.length);
  bytes.write(text, 0, "latin1");
  bytes.set(body, text.length);
  return [bytes];
}
