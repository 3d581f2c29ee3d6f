import * as http from "node:http";
import { appHost } from "../app/client.js";
import type { Answer, Outbound, OutboundRequest } from "./exchange.js";
import { endToEnd, trailersOf } from "./headers.js";

/** Sends a request over HTTP/1.1. */
export function sendHttp1(agent: http.Agent, port: number, request: OutboundRequest, answer: Answer): Outbound {
  const { method, target, headers, hasBody, awaitsContinue } = request;
  const framing = hasBody && headers["content-length"] === undefined ? { "transfer-encoding": "chunked" } : {};
  const outgoing = http.request({
    agent,
    host: appHost,
    port,
    method,
    path: target,
    headers: { ...headers, ...framing, host: `${appHost}:${port}`, ...(awaitsContinue && { expect: "100-continue" }) },
    maxHeaderSize: 64 * 1024,
    setDefaultHeaders: false,
  });
  let over: boolean = false;
  const fail = (error: Error, untouched = false) => {
    if (over) return;
    over = true;
    answer.failed({ error, untouched });
  };
  outgoing.once("continue", () => answer.continued());
  outgoing.on("information", ({ statusCode, headers: hints }) => {
    if (statusCode !== 100) answer.information(statusCode, endToEnd(hints));
  });
  outgoing.once("response", (found) => {
    const status = found.statusCode ?? 502;
    const ends = method === "HEAD" || status === 204 || status === 304;
    found.once("error", fail);
    found.once("end", () => {
      over = true;
    });
    // Closed before its end: the app broke it off, whatever Node says of it.
    found.once("close", () => {
      // Every answer comes here, and an error is dear.
      if (!over) fail(new Error("the app broke its answer off"));
    });
    if (ends) found.resume();
    answer.responded({
      status,
      headers: endToEnd(found.headers),
      body: ends ? none : found,
      trailers: () => trailersOf(found.trailers),
    });
  });
  outgoing.once("error", (error: NodeJS.ErrnoException) => {
    // A connection that the app had closed while it was idle, or that never came about: nothing was taken.
    const idle = outgoing.reusedSocket && error.code === "ECONNRESET" && !hasBody;
    fail(error, error.code === "ECONNREFUSED" || (idle && isSafe(method)));
  });
  // What ends in neither an answer nor an error: an upgrade that nobody asked for.
  outgoing.once("close", () => fail(new Error("the app ended the connection without an answer")));
  if (!hasBody) outgoing.end();
  else if (awaitsContinue) outgoing.flushHeaders();
  else setImmediate(flushHead, outgoing);
  return {
    body: outgoing,
    finish(trailers) {
      if (Object.keys(trailers).length > 0) outgoing.addTrailers(trailers as Record<string, string>);
      outgoing.end();
    },
    cancel: () => void outgoing.destroy(),
  };
}

/** Node keeps the head for the first bytes of the body, which may never come before the app says something. A small body is there by now. */
function flushHead(outgoing: http.ClientRequest): void {
  if (!outgoing.headersSent && !outgoing.destroyed) outgoing.flushHeaders();
}

const none = new Uint8Array();
const isSafe = (method: string) => ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"].includes(method);
