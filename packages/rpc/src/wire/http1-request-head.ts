import type { IncomingHttpHeaders } from "node:http";
import { isTrimmedValue, readFields } from "./http1-fields.js";
import { LastRead } from "./last-read.js";

/** The head of a request whose meaning is beyond doubt. */
export interface Http1RequestHead {
  readonly method: string;
  /** The request target as it was sent, with its query. */
  readonly url: string;
  /** As Node gives them: lower-case names. */
  readonly headers: IncomingHttpHeaders;
  /** 0 if there is no body. */
  readonly contentLength: number;
  /** How many bytes the head takes, its empty line included. */
  readonly length: number;
}

const headEnd = Buffer.from("\r\n\r\n");
const version = " HTTP/1.1";
const methods = ["POST", "GET", "PUT", "DELETE", "PATCH", "HEAD"];
/** What RFC 3986 lets stand in a path and a query. */
const plainTarget = /^\/[\w\-.~!$&'()*+,;=:@%/?]*$/;

/** What changes how a request is framed, how a connection goes on, or who may answer: Node's parser decides about all of these. */
const delicate = new Set([
  "transfer-encoding",
  "trailer",
  "expect",
  "upgrade",
  "proxy-connection",
  "origin",
  // No property of its own.
  "__proto__",
]);

/** Where the value of a header stands in its head, in bytes. */
interface Field {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

/** A head, and where its headers stand in it. */
interface ReadHead {
  readonly head: Http1RequestHead;
  readonly fields: readonly Field[];
}

/**
 * Reads the head of a request, if it is there as a whole and as plain as every client writes it. It accepts less than Node's parser, and what
 * it accepts means the same there: whatever is unusual (a header that comes twice, a folded line, a bare line feed, a transfer coding, a second word
 * in `connection` …) is undefined here, and Node's to read or to refuse.
 */
export function readHttp1RequestHead(buffer: Buffer, start: number, maxBytes: number): Http1RequestHead | undefined {
  return readHead(buffer, start, maxBytes)?.head;
}

function readHead(buffer: Buffer, start: number, maxBytes: number): ReadHead | undefined {
  const end = buffer.indexOf(headEnd, start);
  if (end === -1) return undefined;
  const length = end + headEnd.length - start;
  if (length >= maxBytes) return undefined;
  const text = buffer.toString("latin1", start, end + 2);
  const lineEnd = text.indexOf("\r\n");
  const urlEnd = lineEnd - version.length;
  if (!text.startsWith(version, urlEnd)) return undefined;
  const method = methods.find((each) => text.startsWith(each) && text.charCodeAt(each.length) === 0x20);
  if (method === undefined) return undefined;
  const url = text.slice(method.length + 1, urlEnd);
  if (!plainTarget.test(url)) return undefined;
  const headers: IncomingHttpHeaders = {};
  const fields: Field[] = [];
  const arePlain = readFields(text, lineEnd + 2, (name, value, from) => {
    // Also true of what every object inherits.
    if (headers[name] !== undefined || delicate.has(name)) return false;
    headers[name] = value;
    fields.push({ name, from, to: from + value.length });
    return true;
  });
  const head = arePlain ? toHead(method, url, headers, length) : undefined;
  return head && { head, fields };
}

function toHead(
  method: string,
  url: string,
  headers: IncomingHttpHeaders,
  length: number,
): Http1RequestHead | undefined {
  const { host, connection, "content-length": contentLength } = headers;
  if (host === undefined) return undefined;
  if (contentLength !== undefined && !/^\d{1,15}$/.test(contentLength)) return undefined;
  if (connection !== undefined && connection.toLowerCase() !== "keep-alive") return undefined;
  return { method, url, headers, contentLength: Number(contentLength ?? 0), length };
}

/**
 * Reads the heads of a connection one after the other. A client mostly repeats the last one, or says in a few headers something else that is as long (a
 * trace, the number of a request): only that is read then. What is read is not to be changed.
 */
export class Http1RequestHeads {
  readonly #last = new LastRead<ReadHead>();

  read(bytes: Buffer, start: number, maxBytes: number): Http1RequestHead | undefined {
    const known = this.#last.find(bytes, start);
    if (known) return known.head;
    const read = this.#readChanged(bytes, start) ?? readHead(bytes, start, maxBytes);
    if (read) this.#last.set(bytes, start, start + read.head.length, read);
    return read?.head;
  }

  /** The last head with other values, if nothing else of it is different. */
  #readChanged(bytes: Buffer, start: number): ReadHead | undefined {
    const last = this.#last;
    const known = last.meaning;
    if (known === undefined || start + last.length > bytes.length) return undefined;
    const { head, fields } = known;
    const headers = { ...head.headers };
    let at = 0;
    for (const { name, from, to } of fields) {
      if (!last.matches(bytes, start, at, from)) return undefined;
      if (!last.matches(bytes, start, from, to)) {
        const value = bytes.toString("latin1", start + from, start + to);
        if (!isTrimmedValue(value)) return undefined;
        headers[name] = value;
      }
      at = to;
    }
    if (!last.matches(bytes, start, at, last.length)) return undefined;
    const changed = toHead(head.method, head.url, headers, head.length);
    return changed && { head: changed, fields };
  }
}

/** Whether what has come so far may be the begin of a head that is not there as a whole. */
export function isHeadPart(buffer: Buffer, start: number, maxBytes: number): boolean {
  return buffer.length - start < maxBytes && buffer.indexOf(headEnd, start) === -1;
}
