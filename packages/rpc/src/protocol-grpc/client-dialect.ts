import type { OutgoingHttpHeaders } from "node:http2";
import { validateResponseWithCompression, validateTrailer } from "@connectrpc/connect/protocol-grpc";
import type { ClientConfig } from "../client/config.js";
import { fromHttp2Headers, toPseudoHeaders } from "../client/http2-exchange.js";
import { forEachCallerHeader, type OutgoingCall, userAgent } from "../client/outgoing-call.js";
import type { StreamDialect } from "../client/stream-dialect.js";
import { acceptedNames, compressions, find } from "../wire/compression.js";

/** gRPC over HTTP/2: the status is in the trailers. */
export const grpcDialect: StreamDialect = {
  requestHeaders: toGrpcHeaders,
  startReading(_config, head) {
    const header = fromHttp2Headers(head);
    const { compression, foundStatus, headerError } = validateResponseWithCompression(
      compressions as never,
      Number(head[":status"]),
      header,
    );
    if (headerError) throw headerError;
    return {
      header,
      compression: compression && find(compression.name),
      finish(trailers) {
        const trailer = fromHttp2Headers(trailers);
        if (!foundStatus) validateTrailer(trailer, header);
        return trailer;
      },
    };
  },
};

/** The headers of a gRPC request. */
export function toGrpcHeaders(config: ClientConfig, call: OutgoingCall): OutgoingHttpHeaders {
  const headers = toPseudoHeaders(config, "POST", call.client.path);
  headers["content-type"] = config.json ? "application/grpc+json" : "application/grpc+proto";
  headers.te = "trailers";
  headers["user-agent"] = call.header?.get("user-agent") ?? userAgent;
  if (config.sendCompression) headers["grpc-encoding"] = config.sendCompression.name;
  if (config.acceptCompression) headers["grpc-accept-encoding"] = acceptedNames;
  if (call.timeoutMs !== undefined) headers["grpc-timeout"] = toGrpcTimeout(call.timeoutMs);
  forEachCallerHeader(call.header, (name, value) => {
    headers[name] = value;
  });
  return headers;
}

/** At most eight digits, so long deadlines are told in larger units. */
function toGrpcTimeout(timeoutMs: number): string {
  if (timeoutMs < 1e8) return `${Math.ceil(timeoutMs)}m`;
  return timeoutMs < 1e11
    ? `${Math.ceil(timeoutMs / 1000)}S`
    : `${Math.min(99_999_999, Math.ceil(timeoutMs / 3.6e6))}H`;
}
