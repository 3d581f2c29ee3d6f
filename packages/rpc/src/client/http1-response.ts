import { Code, ConnectError } from "@connectrpc/connect";
import { readLimitError } from "../wire/limits.js";

const maxHeadBytes = 64 * 1024;
const headEnd = Buffer.from("\r\n\r\n");
const lineEnd = Buffer.from("\r\n");
const empty = new Uint8Array(0);

/** A whole response. */
export interface Http1Response {
  readonly status: number;
  readonly contentType: string | undefined;
  readonly contentEncoding: string | undefined;
  /** The header lines as they came; most callers never look at them. */
  readonly lines: string;
  readonly body: Uint8Array;
  /** Whether the connection can take another request, and for how long if the server says. */
  readonly keepAlive: boolean;
  readonly keepAliveMs: number | undefined;
}

/** What a response's head says about it. */
interface Head {
  status: number;
  lines: string;
  contentType: string | undefined;
  contentEncoding: string | undefined;
  contentLength: number | undefined;
  chunked: boolean;
  keepAlive: boolean;
  keepAliveMs: number | undefined;
}

/**
 * Reads one response from the chunks of a connection. Usually all of it is in the first one, and then the body is the only thing
 * that is copied: into bytes of its own, because decoded `bytes` fields are views of them.
 */
export class Http1ResponseReader {
  readonly #maxBytes: number;
  #pending: Buffer | undefined;
  #head: Head | undefined;
  #parts: Uint8Array[] = [];
  #size = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Whether nothing of a response has arrived. */
  get untouched(): boolean {
    return this.#pending === undefined && this.#head === undefined;
  }

  /** Takes a chunk; gives the response when it is whole. Throws when it is none, or too large. */
  read(chunk: Buffer): Http1Response | undefined {
    let buffer = this.#pending === undefined ? chunk : Buffer.concat([this.#pending, chunk]);
    this.#pending = undefined;
    while (this.#head === undefined) {
      const end = buffer.indexOf(headEnd);
      if (end === -1 ? buffer.length > maxHeadBytes : end > maxHeadBytes) throw malformed("its head is too large");
      if (end === -1) {
        this.#pending = buffer;
        return undefined;
      }
      const head = parseHead(buffer.toString("latin1", 0, end));
      buffer = buffer.subarray(end + headEnd.length);
      // Interim responses announce another one.
      if (head.status >= 200) this.#head = head;
    }
    const { contentLength, chunked, status } = this.#head;
    if (status === 204 || status === 304) return this.#finish(this.#head, empty, buffer.length);
    if (chunked) return this.#readChunks(this.#head, buffer);
    if (contentLength === undefined) {
      this.#keep(buffer);
      return undefined;
    }
    if (contentLength > this.#maxBytes) throw readLimitError(this.#maxBytes, contentLength);
    if (this.#size === 0 && buffer.length >= contentLength) {
      const body = contentLength === 0 ? empty : new Uint8Array(buffer.subarray(0, contentLength));
      return this.#finish(this.#head, body, buffer.length - contentLength);
    }
    this.#keep(buffer);
    if (this.#size < contentLength) return undefined;
    return this.#finish(this.#head, this.#join(contentLength), this.#size - contentLength);
  }

  /** The connection has ended: that is the end of a body without a length. */
  end(): Http1Response | undefined {
    const head = this.#head;
    if (head === undefined || head.chunked || head.contentLength !== undefined) return undefined;
    return this.#finish({ ...head, keepAlive: false }, this.#join(this.#size), 0);
  }

  #keep(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#size += bytes.length;
    if (this.#head?.contentLength === undefined && this.#size > this.#maxBytes) throw readLimitError(this.#maxBytes);
    this.#parts.push(bytes);
  }

  #readChunks(head: Head, bytes: Buffer): Http1Response | undefined {
    let buffer = bytes;
    for (;;) {
      const end = buffer.indexOf(lineEnd);
      if (end === -1) {
        if (buffer.length > maxHeadBytes) throw malformed("a chunk's size is too long");
        break;
      }
      const text = buffer.toString("latin1", 0, end).split(";", 1)[0]?.trim() ?? "";
      if (!/^[0-9a-f]{1,8}$/i.test(text)) throw malformed("a chunk's size is no number");
      const size = Number.parseInt(text, 16);
      const start = end + lineEnd.length;
      if (size === 0) {
        const rest = endOfTrailers(buffer, start);
        if (rest === undefined) break;
        return this.#finish(head, this.#join(this.#size), rest);
      }
      if (this.#size + size > this.#maxBytes) throw readLimitError(this.#maxBytes);
      if (buffer.length < start + size + lineEnd.length) break;
      this.#keep(buffer.subarray(start, start + size));
      buffer = buffer.subarray(start + size + lineEnd.length);
    }
    this.#pending = buffer;
    return undefined;
  }

  #join(length: number): Uint8Array {
    const body = new Uint8Array(length);
    let offset = 0;
    for (const part of this.#parts) {
      const fitting = offset + part.length > length ? part.subarray(0, length - offset) : part;
      body.set(fitting, offset);
      offset += fitting.length;
    }
    return body;
  }

  /** Bytes after a response belong to no request: such a connection cannot be trusted with another. */
  #finish(head: Head, body: Uint8Array, surplus: number): Http1Response {
    const { status, contentType, contentEncoding, lines, keepAliveMs } = head;
    const keepAlive = head.keepAlive && surplus === 0;
    return { status, contentType, contentEncoding, lines, body, keepAlive, keepAliveMs };
  }
}

function parseHead(text: string): Head {
  const firstEnd = text.indexOf("\r\n");
  const first = firstEnd === -1 ? text : text.slice(0, firstEnd);
  const match = /^HTTP\/1\.([01]) (\d{3})(?: |$)/.exec(first);
  if (match === null) throw malformed("it is no HTTP/1.1 response");
  const head: Head = {
    status: Number(match[2]),
    lines: firstEnd === -1 ? "" : text.slice(firstEnd + 2),
    contentType: undefined,
    contentEncoding: undefined,
    contentLength: undefined,
    chunked: false,
    keepAlive: match[1] === "1",
    keepAliveMs: undefined,
  };
  forEachLine(head.lines, (name, value) => {
    switch (name) {
      case "content-type":
        head.contentType = value;
        break;
      case "content-encoding":
        head.contentEncoding = value;
        break;
      case "content-length":
        if (!/^\d{1,15}$/.test(value) || (head.contentLength !== undefined && head.contentLength !== Number(value))) {
          throw malformed("its content-length is no length");
        }
        head.contentLength = Number(value);
        break;
      case "transfer-encoding":
        if (value.toLowerCase() !== "chunked") throw malformed(`its transfer-encoding is ${value}`);
        head.chunked = true;
        break;
      case "connection":
        if (/\bclose\b/i.test(value)) head.keepAlive = false;
        else if (/\bkeep-alive\b/i.test(value)) head.keepAlive = true;
        break;
      case "keep-alive": {
        const timeout = /\btimeout=(\d{1,6})\b/.exec(value);
        if (timeout) head.keepAliveMs = Number(timeout[1]) * 1000;
        break;
      }
    }
  });
  return head;
}

/** Calls back for each header line, with a lower-case name. */
export function forEachLine(lines: string, line: (name: string, value: string) => void): void {
  let start = 0;
  while (start < lines.length) {
    let end = lines.indexOf("\r\n", start);
    if (end === -1) end = lines.length;
    const colon = lines.indexOf(":", start);
    if (colon <= start || colon > end) throw malformed("a header line has no name");
    line(lines.slice(start, colon).toLowerCase(), lines.slice(colon + 1, end).trim());
    start = end + 2;
  }
}

/** After the last chunk come trailers, which mean nothing here, and an empty line; gives how many bytes come after it. */
function endOfTrailers(buffer: Buffer, start: number): number | undefined {
  if (buffer.length < start + 2) return undefined;
  if (buffer[start] === 0x0d) return buffer.length - start - 2;
  const end = buffer.indexOf(headEnd, start);
  if (end === -1) {
    if (buffer.length - start > maxHeadBytes) throw malformed("its trailers are too large");
    return undefined;
  }
  return buffer.length - end - headEnd.length;
}

function malformed(why: string): ConnectError {
  return new ConnectError(`protocol error: the server's response cannot be read: ${why}`, Code.Internal);
}
