import type { IncomingHttpHeaders } from "node:http";

/** Headers, as both HTTP versions of Node take them. */
export type HeaderMap = Record<string, string | string[]>;

/** What belongs to one connection and not to the message (RFC 9110, section 7.6.1). */
const ofConnection = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "proxy-authenticate",
  "proxy-authorization",
  "te",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
]);

/** How many headers a message may have: as many as Node's HTTP/1.1 takes. */
export const maxHeaders = 2_000;

/** How often a call may be passed on by runtimes; an app that calls itself in a circle ends here. */
export const maxHops = 16;
export const hopsHeader = "mecha-hops";
/** Who calls, as the receiving runtime has verified it. */
export const callerHeader = "mecha-caller";
/** Whether the app did nothing with a call that its runtime refuses: then it may go to another instance. Only runtimes hear of it. */
export const untouchedHeader = "mecha-untouched";
/** Which app a Connect or gRPC call is for. */
export const appHeader = "mecha-app";
export const invokePrefix = "/invoke/";
/** Whether a request at the app-facing port, or the edge, goes to another app. */
export const isForApp = (url: string, namesApp: boolean): boolean => namesApp || url.startsWith(invokePrefix);
/** The runtime's token, for callers who need `authorization` for something else. */
export const tokenHeader = "mecha-token";

/**
 * Headers that only runtimes may set. Many web frameworks make one variable of "mecha-caller", "mecha_caller" and "mecha.caller", so these count as one.
 */
const isReserved = (name: string) => name.startsWith("mecha") && "-_.".includes(name[5] ?? " ");

/** Headers that say where a request came from, in every spelling that frameworks take for one, and in all that proxies are known to write. */
const origins = new Set([
  "cf-connecting-ip",
  "forwarded",
  "true-client-ip",
  "x-client-ip",
  "x-cluster-client-ip",
  "x-original-url",
  "x-real-ip",
  "x-rewrite-url",
]);
export const saysOrigin = (name: string): boolean => {
  const plain = name.replaceAll(/[_.]/g, "-");
  return plain.startsWith("x-forwarded") || origins.has(plain);
};

/** The headers of a message as they go on, without those of the connection, pseudo headers, what only runtimes say, and `except`. */
export function endToEnd(headers: IncomingHttpHeaders, except?: string): HeaderMap {
  const { connection } = headers;
  const named = connection === undefined || connection === "keep-alive" ? undefined : namesIn(connection);
  const result: HeaderMap = {};
  for (const name of Object.keys(headers)) {
    const value = headers[name];
    if (value === undefined || name.startsWith(":") || ofConnection.has(name) || isReserved(name)) continue;
    if (name === except || named?.has(name)) continue;
    result[name] = value;
  }
  // The one thing of `te` that HTTP/2 knows, and that gRPC asks for.
  if (headers.te !== undefined && /(^|,)\s*trailers\s*($|,)/i.test(String(headers.te))) result.te = "trailers";
  return result;
}

/** `connection: close, x-own` names headers that belong to the connection, too. */
export function namesIn(connection: string): Set<string> {
  return new Set(connection.split(",").map((name) => name.trim().toLowerCase()));
}

const notInTrailers = new Set([
  "authorization",
  "content-length",
  "cookie",
  "host",
  "set-cookie",
  "trailer",
  "x-api-key",
]);

/** Trailers as they go on: no header that frames, routes or proves anything may come so late (RFC 9110, section 6.5.1). */
export function trailersOf(trailers: NodeJS.Dict<string | string[]>): HeaderMap {
  const result: HeaderMap = {};
  for (const [name, value] of Object.entries(trailers)) {
    if (value === undefined || name.startsWith(":") || ofConnection.has(name) || isReserved(name)) continue;
    if (notInTrailers.has(name) || saysOrigin(name)) continue;
    result[name] = value;
  }
  return result;
}

/** How often a call was passed on before; undefined if what says so is no number. */
export function hopsOf(headers: IncomingHttpHeaders): number | undefined {
  const value = headers[hopsHeader];
  if (value === undefined) return 0;
  return typeof value === "string" && /^\d{1,3}$/.test(value) ? Number(value) : undefined;
}
