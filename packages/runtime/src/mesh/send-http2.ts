import { type ClientHttp2Session, type ClientHttp2Stream, constants, type IncomingHttpHeaders } from "node:http2";
import { Writable } from "node:stream";
import type { Answer, Outbound, OutboundRequest } from "./exchange.js";
import { endToEnd, type HeaderMap, trailersOf, untouchedHeader } from "./headers.js";

/** Sends a request over an HTTP/2 session. */
export function sendHttp2(
  session: ClientHttp2Session,
  authority: string,
  request: OutboundRequest,
  answer: Answer,
): Outbound {
  const { method, target, headers, hasBody, awaitsContinue } = request;
  const { host: _, ...rest } = headers;
  // RFC 8441: a WebSocket, whose bytes are the body.
  const tunnel = method === "CONNECT" ? { ":protocol": "websocket", ":scheme": "https" } : {};
  const pseudo = { ":method": method, ":path": target, ":authority": authority, ...tunnel };
  const waitForTrailers = hasBody && headers.trailer !== undefined;
  // Closing a stream would end its body first: whoever reads it would take what has gone for the whole.
  const giveUp = hasBody ? new AbortController() : undefined;
  let stream: ClientHttp2Stream;
  try {
    stream = session.request(
      { ...rest, ...pseudo, ...(awaitsContinue && { expect: "100-continue" }) },
      { endStream: !hasBody, waitForTrailers, ...(giveUp && { signal: giveUp.signal }) },
    );
  } catch (error) {
    // The session ended between being chosen and being used: nothing was sent.
    return failedBefore(error, answer);
  }
  let sent: HeaderMap = {};
  let received: HeaderMap = {};
  let status: number | undefined;
  let failure: Error | undefined;
  let isWhole = false;
  if (waitForTrailers) stream.once("wantTrailers", () => stream.sendTrailers(sent));
  stream.once("continue", () => answer.continued());
  stream.on("headers", (hints: IncomingHttpHeaders & { ":status"?: number }) => {
    if (hints[":status"] !== 100) answer.information(hints[":status"] ?? 103, endToEnd(hints));
  });
  stream.once("response", (found, flags) => {
    status = found[":status"] ?? 502;
    const ends = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    const untouched = found[untouchedHeader] !== undefined;
    if (ends) stream.resume();
    const body = ends ? new Uint8Array() : stream;
    const cutShort = () => stream.rstCode !== constants.NGHTTP2_NO_ERROR;
    stream.once("end", () => {
      isWhole = !cutShort();
    });
    answer.responded({ status, headers: endToEnd(found), body, trailers: () => received, cutShort, untouched });
  });
  stream.once("trailers", (trailers) => {
    received = trailersOf(trailers);
  });
  stream.once("error", (error) => {
    failure = error;
  });
  stream.once("close", () => {
    const { rstCode } = stream;
    // Whole, or answered without the rest of the request.
    if (isWhole) return;
    if (rstCode === constants.NGHTTP2_NO_ERROR && status !== undefined && failure === undefined) return;
    const error = failure ?? new Error(`the stream ended with code ${rstCode} before it was answered`);
    answer.failed({ error, untouched: status === undefined && rstCode === constants.NGHTTP2_REFUSED_STREAM });
  });
  return {
    body: stream,
    finish(trailers) {
      sent = trailers;
      stream.end();
    },
    cancel() {
      if (giveUp === undefined || stream.writableEnded) stream.close(constants.NGHTTP2_CANCEL);
      else giveUp.abort();
    },
  };
}

/** A request that never was sent. */
function failedBefore(reason: unknown, answer: Answer): Outbound {
  const error = reason instanceof Error ? reason : new Error(String(reason));
  queueMicrotask(() => answer.failed({ error, untouched: true }));
  return { body: nowhere(), finish() {}, cancel() {} };
}

const nowhere = () => new Writable({ write: (_chunk, _encoding, done) => done() });
