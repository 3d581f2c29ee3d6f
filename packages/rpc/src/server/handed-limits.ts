import type { IncomingMessage, ServerResponse } from "node:http";
import { constants, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import type { ConnectError } from "@connectrpc/connect";
import { envelopeHeaderBytes } from "../wire/envelope.js";
import { readLimitError } from "../wire/limits.js";
import type { Exchange } from "./exchange.js";
import type { ServedRoute } from "./service.js";
import type { Watch } from "./watch.js";

type AnyRequest = IncomingMessage | Http2ServerRequest;
type AnyResponse = ServerResponse | Http2ServerResponse;

/**
 * Ends a request whose body has not arrived in time, where somebody else reads it (plain HTTP, connect-node): a client that sends one byte and
 * waits must not hold a connection for ever. It is not answered: whoever reads may be about to.
 */
export function limitBody(request: AnyRequest, response: AnyResponse, watch: Watch, timeoutMs: number): void {
  const limited = {
    watchedUntil: 0,
    bagPlace: -1,
    expire() {
      if (!request.complete) end(request);
    },
  };
  const done = () => watch.delete(limited);
  request.once("end", done);
  response.once("close", done);
  watch.add(limited, timeoutMs);
}

/**
 * Ends a response that its client does not read, where somebody else writes it: when bytes wait for the client at two looks, `timeoutMs` apart, and
 * it took none in between. An idle stream may last: nothing waits there.
 */
export function limitReader(request: AnyRequest, response: AnyResponse, watch: Watch, timeoutMs: number): void {
  let stuck: boolean = false;
  const limited = {
    watchedUntil: 0,
    bagPlace: -1,
    expire() {
      if (stuck) {
        end(request);
        return;
      }
      const writing = "stream" in response ? response.stream : response;
      stuck = writing.writableNeedDrain || (writing.writableEnded && !writing.writableFinished);
      watch.add(limited, timeoutMs);
    },
  };
  response.on("drain", () => {
    stuck = false;
  });
  response.once("close", () => watch.delete(limited));
  watch.add(limited, timeoutMs);
}

/**
 * Refuses the one message of a gRPC-Web call by its length, in one write. connect-node begins its answer first and ends it later, and in between
 * connect-go, once it sees the beginning, says that its message ends early, for which `node:http2` breaks the answer off.
 */
export function refusalOfLength(route: ServedRoute, exchange: Exchange, maxBytes: number): ConnectError | undefined {
  const { methodKind } = route.method;
  if (methodKind !== "unary" && methodKind !== "server_streaming") return undefined;
  if (!exchange.header("content-type")?.startsWith("application/grpc-web")) return undefined;
  const size = Number(exchange.header("content-length") ?? 0) - envelopeHeaderBytes;
  return size > maxBytes ? readLimitError(maxBytes, size) : undefined;
}

function end(request: AnyRequest): void {
  if ("stream" in request) request.stream.close(constants.NGHTTP2_CANCEL);
  else request.destroy();
}
