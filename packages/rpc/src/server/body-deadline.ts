import type { IncomingMessage, ServerResponse } from "node:http";
import { constants, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import type { Watch } from "./watch.js";

/**
 * Ends a request whose body has not arrived in time, where somebody else reads it (plain HTTP, connect-node): a client that sends one byte and
 * waits must not hold a connection for ever. It is not answered: whoever reads may be about to.
 */
export function limitBody(
  request: IncomingMessage | Http2ServerRequest,
  response: ServerResponse | Http2ServerResponse,
  watch: Watch,
  timeoutMs: number,
): void {
  const limited = {
    watchedUntil: 0,
    expire() {
      if (request.complete) return;
      if ("stream" in request) request.stream.close(constants.NGHTTP2_CANCEL);
      else request.destroy();
    },
  };
  const done = () => watch.delete(limited);
  request.once("end", done);
  response.once("close", done);
  watch.add(limited, timeoutMs);
}
