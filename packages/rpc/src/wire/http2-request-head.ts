import type { IncomingHttpHeaders } from "node:http2";

/** The head of a request whose meaning is beyond doubt. */
export interface Http2RequestHead {
  readonly method: string;
  /** The request target, with its query. */
  readonly url: string;
  /** As Node gives them, with the pseudo headers. */
  readonly headers: IncomingHttpHeaders;
  readonly contentLength: number | undefined;
}

const fieldName = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;
/** Visible characters and what is between them. */
const fieldValue = /^(?:[!-~](?:[\t -~]*[!-~])?)?$/;
const target = /^\/[!-~]*$/;

/** What HTTP/2 does not know, and what decides who may answer, or how: Node decides about all of these. */
const delicate = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
  "host",
  "expect",
  "origin",
  "http2-settings",
  "__proto__",
]);

/**
 * Reads the head of a request that is as plain as every client writes it, from names and values in turn. Whatever is unusual is undefined here, and
 * Node's to read or to refuse.
 */
export function readHttp2RequestHead(list: readonly string[]): Http2RequestHead | undefined {
  const headers: IncomingHttpHeaders = {};
  let regular = false;
  for (let index = 0; index < list.length; index += 2) {
    const name = list[index] as string;
    const value = list[index + 1] as string;
    // Also true of what every object inherits.
    if (headers[name] !== undefined || !fieldValue.test(value)) return undefined;
    if (name.startsWith(":")) {
      if (regular || !isPseudo(name)) return undefined;
    } else {
      regular = true;
      if (!fieldName.test(name) || delicate.has(name) || (name === "te" && value !== "trailers")) return undefined;
    }
    headers[name] = value;
  }
  const { ":method": method, ":path": url, ":scheme": scheme, ":authority": authority } = headers;
  if ((method !== "POST" && method !== "GET") || url === undefined || !target.test(url)) return undefined;
  if (scheme === undefined || authority === undefined) return undefined;
  const length = headers["content-length"];
  if (length !== undefined && !/^\d{1,15}$/.test(length)) return undefined;
  return { method, url, headers, contentLength: length === undefined ? undefined : Number(length) };
}

function isPseudo(name: string): boolean {
  return name === ":method" || name === ":path" || name === ":scheme" || name === ":authority";
}
