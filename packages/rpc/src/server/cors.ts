import type { IncomingMessage, ServerResponse } from "node:http";
import { cors } from "@connectrpc/connect";

/** What pages may read of an answer, beside what every page may: the errors of gRPC-Web, and the etags of plain HTTP. */
const exposedHeaders = [...cors.exposedHeaders, "ETag"].join(", ");

/**
 * Lets web pages of some origins call: their answers are marked as readable, and their browsers' preflights are answered. A page of another
 * origin gets no mark, so its browser keeps the answer from it; refusing its request is the guard's job.
 * https://fetch.spec.whatwg.org/#http-cors-protocol
 *
 * @returns a function that says whether it answered the request.
 */
export function createCors(
  allowedOrigins: readonly string[],
): (request: IncomingMessage, response: ServerResponse) => boolean {
  const allowed = new Set(allowedOrigins);
  return ({ method, headers }, response) => {
    const { origin } = headers;
    if (origin === undefined || !allowed.has(origin)) return false;
    response.setHeader("access-control-allow-origin", origin);
    response.setHeader("access-control-expose-headers", exposedHeaders);
    response.setHeader("vary", "Origin");
    const requested = headers["access-control-request-method"];
    if (method !== "OPTIONS" || requested === undefined) return false;
    response.setHeader("access-control-allow-methods", requested);
    response.setHeader("access-control-allow-headers", headers["access-control-request-headers"] ?? "");
    response.setHeader("access-control-max-age", 7200);
    response.writeHead(204).end();
    return true;
  };
}
