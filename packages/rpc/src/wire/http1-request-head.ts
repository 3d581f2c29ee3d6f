import type { IncomingHttpHeaders } from "node:http";

/** The head of a request whose meaning is beyond doubt. */
export interface Http1RequestHead {
  /** The request target as it was sent; it has no query. */
  readonly url: string;
  /** As Node gives them: lower-case names. */
  readonly headers: IncomingHttpHeaders;
  readonly contentLength: number;
  /** How many bytes the head takes, its empty line included. */
  readonly length: number;
}

const headEnd = Buffer.from("\r\n\r\n");
const version = " HTTP/1.1";
/** The path of an RPC: "/mecha.state.v1.StateService/Get". */
const rpcPath = /^\/[\w.]+\/\w+$/;
const carriageReturn = 0x0d;
const lineFeed = 0x0a;
const colon = 0x3a;

/** Which characters a header's name is made of (RFC 9110, section 5.6.2). */
const inName = table((code) => /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(String.fromCharCode(code)));
/** Which characters a header's value is made of (RFC 9110, section 5.5). */
const inValue = table((code) => code === 0x09 || (code >= 0x20 && code !== 0x7f));

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

/**
 * Reads the head of a POST to an RPC, if it is there as a whole and as plain as every client writes it. It accepts less than Node's parser, and what
 * it accepts means the same there: whatever is unusual (a header that comes twice, a folded line, a bare line feed, a transfer coding, a second word
 * in `connection` …) is undefined here, and Node's to read or to refuse.
 */
export function readHttp1RequestHead(buffer: Buffer, start: number, maxBytes: number): Http1RequestHead | undefined {
  const end = buffer.indexOf(headEnd, start);
  if (end === -1) return undefined;
  const length = end + headEnd.length - start;
  if (length >= maxBytes) return undefined;
  const text = buffer.toString("latin1", start, end + 2);
  const lineEnd = text.indexOf("\r\n");
  const urlEnd = lineEnd - version.length;
  if (!text.startsWith("POST /") || !text.startsWith(version, urlEnd)) return undefined;
  const url = text.slice(5, urlEnd);
  if (!rpcPath.test(url)) return undefined;
  const headers = readHeaders(text, lineEnd + 2);
  if (headers === undefined) return undefined;
  const { host, connection, "content-length": contentLength } = headers;
  if (host === undefined || contentLength === undefined || !/^\d{1,15}$/.test(contentLength)) return undefined;
  if (connection !== undefined && connection.toLowerCase() !== "keep-alive") return undefined;
  return { url, headers, contentLength: Number(contentLength), length };
}

function readHeaders(text: string, start: number): IncomingHttpHeaders | undefined {
  const headers: IncomingHttpHeaders = {};
  let at = start;
  while (at < text.length) {
    let nameEnd = at;
    while (inName[text.charCodeAt(nameEnd)] === 1) nameEnd++;
    if (nameEnd === at || text.charCodeAt(nameEnd) !== colon) return undefined;
    let lineEnd = nameEnd + 1;
    while (inValue[text.charCodeAt(lineEnd)] === 1) lineEnd++;
    if (text.charCodeAt(lineEnd) !== carriageReturn || text.charCodeAt(lineEnd + 1) !== lineFeed) return undefined;
    const name = text.slice(at, nameEnd).toLowerCase();
    // Also true of what every object inherits.
    if (headers[name] !== undefined || delicate.has(name)) return undefined;
    headers[name] = trim(text, nameEnd + 1, lineEnd);
    at = lineEnd + 2;
  }
  return headers;
}

/** Without the spaces and tabs around it; String's own trim takes more than those. */
function trim(text: string, start: number, end: number): string {
  let from = start;
  let to = end;
  while (from < to && isBlank(text.charCodeAt(from))) from++;
  while (to > from && isBlank(text.charCodeAt(to - 1))) to--;
  return text.slice(from, to);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

function table(includes: (code: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, code) => (includes(code) ? 1 : 0));
}
