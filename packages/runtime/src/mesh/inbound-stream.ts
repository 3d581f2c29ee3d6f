import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import type { Inbound } from "./exchange.js";
import { type HeaderMap, trailersOf } from "./headers.js";

/** A request of another runtime, on Node's core API: its compatibility layer costs as much as the rest of a small call. */
export function fromStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Inbound {
  let received: HeaderMap = {};
  let sent: HeaderMap = {};
  // Whatever ends a stream is told by "close".
  stream.on("error", () => {});
  stream.on("trailers", (trailers) => {
    received = trailersOf(trailers);
  });
  return {
    method: headers[":method"] ?? "GET",
    target: headers[":path"] ?? "/",
    headers,
    hasBody: !stream.endAfterHeaders,
    body: stream,
    whole: undefined,
    get cutShort() {
      return stream.aborted || stream.rstCode !== constants.NGHTTP2_NO_ERROR;
    },
    awaitsContinue: headers.expect === "100-continue",
    trailers: () => received,
    sendContinue: () => stream.additionalHeaders({ ":status": 100 }),
    sendInformation: (status, hints) => stream.additionalHeaders({ ...hints, ":status": status }),
    respondWhole(status, answer, body) {
      if (stream.destroyed || stream.closed) return;
      stream.respond({ ...answer, ":status": status }, { endStream: body.byteLength === 0 });
      if (body.byteLength > 0) stream.end(body);
    },
    respond(status, answer) {
      if (stream.destroyed || stream.closed) return stream;
      // A body whose length is known has no trailers, unless it is gRPC's.
      const isGrpc = String(answer["content-type"] ?? "").startsWith("application/grpc");
      const waitForTrailers = answer["content-length"] === undefined || answer.trailer !== undefined || isGrpc;
      stream.respond({ ...answer, ":status": status }, { waitForTrailers });
      if (waitForTrailers) stream.once("wantTrailers", () => stream.sendTrailers(sent));
      return stream;
    },
    finish(trailers) {
      sent = trailers;
      stream.end();
    },
    breakOff: () => stream.close(constants.NGHTTP2_INTERNAL_ERROR),
    get responded() {
      return stream.headersSent;
    },
    onGone(gone) {
      const onClose = () => {
        if (!stream.writableFinished || stream.rstCode !== constants.NGHTTP2_NO_ERROR) gone();
      };
      if (stream.destroyed || stream.closed) onClose();
      else stream.once("close", onClose);
    },
  };
}
