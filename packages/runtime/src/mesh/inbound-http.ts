import type { IncomingMessage, ServerResponse } from "node:http";
import { constants, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import type { Writable } from "node:stream";
import type { Inbound } from "./exchange.js";
import { type HeaderMap, trailersOf } from "./headers.js";

type AnyRequest = IncomingMessage | Http2ServerRequest;
type AnyResponse = ServerResponse | Http2ServerResponse;

/** A request of the app, as Node's servers hand it over: HTTP/1.1, or HTTP/2 in the same shape. */
export function fromHttp(request: AnyRequest, response: AnyResponse, target: string): Inbound {
  const isHttp2 = "stream" in request;
  // What both kinds of response have in common is more than their types do.
  const plain = response as ServerResponse;
  const { headers } = request;
  // Ending twice is for nobody to hear of; whatever ends a connection is told by "close".
  request.on("error", ignore);
  response.on("error", ignore);
  return {
    method: request.method ?? "GET",
    target,
    headers,
    hasBody: isHttp2
      ? !request.stream.endAfterHeaders
      : headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0",
    body: request,
    whole: undefined,
    get cutShort() {
      return isHttp2 && (request.stream.aborted || request.stream.rstCode !== constants.NGHTTP2_NO_ERROR);
    },
    awaitsContinue: headers.expect?.toLowerCase() === "100-continue",
    trailers: () => trailersOf(request.trailers),
    sendContinue: () => response.writeContinue(),
    sendInformation(status, hints) {
      if (isHttp2) request.stream.additionalHeaders({ ...hints, ":status": status });
      else if (status === 103) plain.writeEarlyHints({ link: [hints.link ?? []].flat().flatMap(splitLinks) });
    },
    respond(status, answer): Writable {
      if (!response.destroyed) plain.writeHead(status, answer);
      return response;
    },
    respondWhole(status, answer, body) {
      if (response.destroyed) return;
      plain.writeHead(status, answer);
      if (body.byteLength === 0) response.end();
      else response.end(body);
    },
    finish(trailers: HeaderMap) {
      if (response.destroyed) return;
      if (Object.keys(trailers).length > 0) response.addTrailers(trailers as Record<string, string>);
      response.end();
    },
    breakOff: () => void response.destroy(),
    get responded() {
      return response.headersSent;
    },
    onGone(gone) {
      const writing = isHttp2 ? request.stream : plain;
      const onClose = () => {
        if (!writing.writableFinished) gone();
      };
      if (response.destroyed) onClose();
      else response.once("close", onClose);
    },
  };
}

const ignore = () => {};

/** Links that came in one line; a comma within a link is not followed by "<". */
const splitLinks = (line: string) => line.split(/,\s*(?=<)/);
